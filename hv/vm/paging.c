/* SPDX-License-Identifier: MIT */
#include "vm/paging.h"

#include "boot/boot_info.h"
#include "drv/disk.h"
#include "lib/log.h"
#include "mem/compress.h"
#include "mem/frame.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/vm_table.h"
#include "x86/time.h"

/* A partition may be worn out by guests that fault for ever; the log need not. */
#define EVENT_EVERY_NS 1000000000ull

/* Every page of a VM has been looked at so often when no more of what is wanted is found. */
#define ROUNDS 4u

static bool wanted; /* by some VM */
static uint64_t rest_until;
static uint64_t write_failed_ns;

void paging_init(void)
{
    static struct tithe_disk disk;
    char mode[8];
    if (boot_option("disk-test", mode, sizeof mode)) {
        log_line("swap: none, for the disk is tested");
        return;
    }
    for (uint32_t i = 0; i < DISKS_MAX; i++) {
        disk.index = i;
        for (uint32_t p = 0; disk_describe(&disk) && p < disk.partition_count; p++) {
            const struct tithe_partition *at = &disk.partition[p];
            if (at->swap == 0) {
                continue;
            }
            struct swap_counts c;
            if (!swap_init(i, at->first_sector, at->sectors / (PAGE_BYTES / DISK_SECTOR_BYTES))) {
                log_line("swap: %s partition %u is too small, or there is no memory for its table", disk.name,
                         at->number);
                continue;
            }
            swap_counts(&c);
            log_line("swap: %s partition %u, %llu KiB of %llu used", disk.name, at->number,
                     (unsigned long long)c.slots * 4, (unsigned long long)at->sectors / 2);
            return;
        }
    }
}

/* ---- what plans want ---- */

void paging_want_out(struct vm *vm, uint64_t pages, enum swap_pick pick)
{
    vm->swap_out_wanted = pages;
    vm->swap_pick = pick;
    vm->swap_looked = 0;
    wanted = true;
}

void paging_want_in(struct vm *vm, uint64_t pages)
{
    vm->prefetch_wanted = pages;
    vm->prefetch_looked = 0;
    wanted = true;
}

void paging_want_evicted(void)
{
    wanted = true;
}

/* After a step that began `count` pages and looked at `looked`. True: another can follow at once. */
static bool stepped(const struct vm *vm, uint32_t count, uint32_t looked, uint64_t *want,
                    uint64_t *looked_all)
{
    *want -= count;
    *looked_all = count != 0 ? 0 : *looked_all + looked;
    if (*looked_all > ROUNDS * vm->p2m.limit) {
        *want = 0;
    }
    return looked != 0 && *want != 0;
}

static uint32_t at_most_cluster(uint64_t pages)
{
    return pages < SWAP_CLUSTER ? (uint32_t)pages : SWAP_CLUSTER;
}

/* One cluster for each VM. */
static bool do_wanted(void)
{
    bool more = false;
    wanted = false;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        struct vm *vm = vm_at(place);
        if (vm == NULL || vm->state == TITHE_VM_STOPPED) {
            continue;
        }
        wanted |= compress_over_limit(&vm->p2m) && (swap_evict(&vm->p2m) != 0 || swap_writes() != 0);
        uint32_t looked;
        if (vm->swap_out_wanted != 0) {
            if (swap_room(&vm->p2m) == 0) {
                vm->swap_out_wanted = 0;
                continue;
            }
            const uint32_t count =
                swap_out(&vm->p2m, at_most_cluster(vm->swap_out_wanted), vm->swap_pick, &looked);
            more |= stepped(vm, count, looked, &vm->swap_out_wanted, &vm->swap_looked);
        }
        if (vm->prefetch_wanted != 0) {
            if (vm->p2m.swap.pages == 0) {
                vm->prefetch_wanted = 0;
                continue;
            }
            const uint32_t count = swap_prefetch(&vm->p2m, at_most_cluster(vm->prefetch_wanted), &looked);
            more |= stepped(vm, count, looked, &vm->prefetch_wanted, &vm->prefetch_looked);
        }
        wanted |= vm->swap_out_wanted != 0 || vm->prefetch_wanted != 0;
    }
    return more;
}

/* ---- the reserve rule ---- */

/* Whose pages go: who has most above its min, of those whose memory can. */
static struct vm *richest(void)
{
    struct vm *best = NULL;
    int64_t most = 0;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        struct vm *vm = vm_at(place);
        if (vm == NULL || vm->state == TITHE_VM_STOPPED || !swap_can(&vm->p2m)) {
            continue;
        }
        const int64_t above = (int64_t)(vm->p2m.present_pages + vm->p2m.store.frames - vm->min_pages);
        if (best == NULL || above > most) {
            best = vm;
            most = above;
        }
    }
    return best;
}

/* Guests wait for memory, there is none, and no policy has seen to it: the one thing that the core decides by itself. True: another
 * step can follow at once. */
static bool keep_reserve(uint64_t now_ns)
{
    static uint64_t told_ns;
    struct frame_counts f;
    if (vm_set_empty(&vms_without_memory) || swap_writes() != 0) {
        return false;
    }
    frames_counts(&f);
    struct vm *vm = f.free <= f.promised + f.reserve ? richest() : NULL;
    if (vm == NULL) {
        return false;
    }
    if (now_ns >= told_ns) {
        told_ns = now_ns + EVENT_EVERY_NS;
        event_emit(TITHE_EVENT_RESERVE, vm->id, f.free - f.promised, 0, "pages of %s leave memory", vm->name);
    }
    uint32_t looked;
    (void)swap_out(&vm->p2m, SWAP_CLUSTER, SWAP_RANDOM, &looked);
    /* Nothing that ends will come by here: what went needed no writing, or nothing was found, and others are by looking again. */
    return looked != 0 && swap_writes() == 0;
}

/* Whoever else wants the boot CPU gets as much of it as this. */
uint64_t paging_poll(uint64_t now_ns)
{
    swap_poll();
    if (now_ns < rest_until) {
        return wanted || !vm_set_empty(&vms_without_memory) ? rest_until : NO_DEADLINE;
    }
    bool more = wanted && do_wanted();
    more |= keep_reserve(now_ns);
    const uint64_t after_ns = time_now_ns();
    rest_until = after_ns + (after_ns - now_ns);
    return more ? rest_until : NO_DEADLINE;
}

/* ---- what mem/swap.h asks for ---- */

static void pages_came(struct vm *vm)
{
    for (uint32_t i = 0; vm != NULL && i < vm->vcpu_count; i++) {
        vcpu_memory_came(vm->vcpu[i]);
    }
}

/* What was set aside for a VM that was suspended is given back as its pages come. */
static void shrink_reservation(struct vm *vm)
{
    char reason[TITHE_REASON_MAX];
    const struct p2m_swap *s = &vm->p2m.swap;
    if (vm->state != TITHE_VM_SUSPENDED && s->reserved > vm->max_pages - vm->min_pages &&
        s->pages < s->reserved) {
        (void)!vm_reserve_swap(vm, vm->min_pages, vm->max_pages, reason);
    }
}

void swap_came(uint16_t owner, bool all)
{
    for (size_t place = 0; all && place < TITHE_VMS_MAX; place++) {
        pages_came(vm_at(place));
    }
    pages_came(vm_at(owner - 1u));
    if (vm_at(owner - 1u) != NULL) {
        shrink_reservation(vm_at(owner - 1u));
    }
}

void swap_lost(uint16_t owner, gfn_t gfn, const char *why)
{
    struct vm *vm = vm_at(owner - 1u);
    if (vm == NULL || vm->state == TITHE_VM_STOPPED) {
        return;
    }
    event_emit(TITHE_EVENT_SWAP_LOST, vm->id, gfn, 0, "%s: gfn 0x%llx: %s", vm->name, (unsigned long long)gfn,
               why);
    lock_acquire(&vm->platform.lock);
    vm_ask_stop(vm, TITHE_STOP_SWAP, 0);
    lock_release(&vm->platform.lock);
}

void swap_write_failed(const char *why)
{
    const uint64_t now_ns = time_now_ns();
    if (now_ns >= write_failed_ns) {
        write_failed_ns = now_ns + EVENT_EVERY_NS;
        event_emit(TITHE_EVENT_SWAP_WRITE, 0, 0, 0, "pages stay in memory: %s", why);
    }
}

void swap_wanted(void)
{
    run_poke(0);
}
