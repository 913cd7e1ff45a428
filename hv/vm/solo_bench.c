/* SPDX-License-Identifier: MIT */
#include "vm/solo_bench.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/compress.h"
#include "vm/paging.h"
#include "vm/vm.h"
#include "vm/work.h"
#include "x86/cpu.h"

struct tally {
    uint64_t pages, ticks, least;
};

static void tally_add(struct tally *t, uint64_t pages, uint64_t ticks)
{
    if (pages == 0) {
        return;
    }
    t->pages += pages;
    t->ticks += ticks;
    t->least = t->least == 0 || ticks / pages < t->least ? ticks / pages : t->least;
}

static void tally_print(const struct tally *t, const char *what)
{
    log_line("core: bench %s count=%lu average=%lu minimum=%lu", what, t->pages,
             t->pages > 0 ? t->ticks / t->pages : 0, t->least);
}

/* A call counts if all its pages fared alike. */
static void scan(struct vm *vm, struct tally *miss, struct tally *hint, struct tally *hit)
{
    struct share_scan scan = {.order = SHARE_RANDOM};
    while (scan.passes == 0) {
        const struct p2m_sharing before = vm->p2m.sharing;
        const uint64_t start = rdtsc();
        const uint32_t pages = share_scan(&vm->p2m, &scan, SHARE_SCAN_MAX);
        const uint64_t ticks = rdtsc() - start;
        const struct p2m_sharing *now = &vm->p2m.sharing;
        tally_add(miss, now->hints - before.hints == pages ? pages : 0, ticks);
        tally_add(hint, now->hint_hits - before.hint_hits == pages ? pages : 0, ticks);
        tally_add(hit, now->hits - before.hits == pages ? pages : 0, ticks);
    }
}

static void scan_all(struct vm *solo)
{
    struct tally miss = {0}, hint = {0}, hit = {0};
    for (size_t i = 0; i <= TITHE_VMS_MAX; i++) {
        struct vm *vm = i == 0 ? solo : vm_at(i - 1);
        if (vm != NULL && (i == 0 || vm != solo)) {
            share_set_group(&vm->p2m, 1);
            scan(vm, &miss, &hint, &hit);
        }
    }
    tally_print(&miss, "scan_miss");
    tally_print(&hint, "scan_hint");
    tally_print(&hit, "scan_hit");
}

static void sample(struct vm *vm, uint64_t method, const char *what)
{
    struct tally t = {0};
    sample_ask(&vm->p2m, TITHE_SAMPLE_MAX, method, 0);
    const uint64_t start = rdtsc();
    while (sample_step(&vm->p2m, 0, 0)) {
    }
    tally_add(&t, vm->sample.counts.pages, rdtsc() - start);
    tally_print(&t, what);
}

/* A call counts if all its pages fared alike. The first round only clears accessed bits. */
static void compress(struct vm *vm)
{
    struct tally kept = {0}, poor = {0};
    compress_set_limit(&vm->p2m, vm->p2m.size_pages, COMPRESS_PERCENT_MAX);
    for (uint64_t at = 0; at < 2 * vm->p2m.limit;) {
        uint32_t looked;
        const uint64_t were = vm->p2m.store.poor, start = rdtsc();
        const uint32_t pages = swap_out(&vm->p2m, SWAP_CLUSTER, SWAP_COLD, &looked);
        const uint64_t ticks = rdtsc() - start, tries = vm->p2m.store.poor - were;
        tally_add(&kept, looked == pages ? pages : 0, ticks);
        tally_add(&poor, looked == tries ? tries : 0, ticks);
        at += looked != 0 ? looked : vm->p2m.limit;
    }
    tally_print(&kept, "compress");
    tally_print(&poor, "compress_poor");
}

static bool says(const char *text, size_t bytes, const char *word)
{
    const size_t length = strlen(word);
    return bytes >= length && memcmp(text + bytes - length, word, length) == 0;
}

void solo_bench(struct vm *vm, const char *text, size_t bytes)
{
    if (says(text, bytes, "say bench-scan")) {
        scan_all(vm);
    } else if (says(text, bytes, "say bench-abit")) {
        sample(vm, TITHE_SAMPLE_ABIT, "sample_abit");
    } else if (says(text, bytes, "say bench-unmap")) {
        sample(vm, TITHE_SAMPLE_UNMAP, "sample_unmap");
    } else if (says(text, bytes, "say bench-swap")) {
        paging_want_out(vm, vm->p2m.present_pages / 2, SWAP_RANDOM);
    } else if (says(text, bytes, "say bench-vacate")) {
        vm_vacate(vm, vm->p2m.present_pages, false);
        work_post(vm);
    } else if (says(text, bytes, "say bench-remap")) {
        vm_remap(vm, vm->p2m.present_pages, 1);
        work_post(vm);
    } else if (says(text, bytes, "say bench-colour")) {
        p2m_set_colours(&vm->p2m, 0x55555555u & (uint32_t)((1ull << frames_colour_count()) - 1), 0);
    } else if (says(text, bytes, "say bench-compress")) {
        compress(vm);
    }
}
