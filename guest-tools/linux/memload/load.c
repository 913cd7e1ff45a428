/* SPDX-License-Identifier: MIT */
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "clock.h"
#include "input.h"
#include "meminfo.h"
#include "pattern.h"

#define RESERVATION_BYTES (16ull << 30)
#define FAIL_LINES_MAX    8 /* of one verification; the rest is only counted */

/* A guest from which the balloon has taken memory may ask for more than it has right now. Instead of being killed
 * by its own kernel it does what a patient program does: it waits while memory is short, the policy sees the need
 * in the balloon statistics, and memory comes back. The wait is reported, and it is not endless. */
#define WAIT_MS        50
#define GIVE_UP_MS     300000
#define PAGES_PER_LOOK 64

#define HOLD_CHUNK_PAGES 64
#define HOLD_PERIOD_MS   20

int load_init(struct load *load, uint64_t seed)
{
    *load = (struct load){.seed = seed, .pages_max = RESERVATION_BYTES / PAGE_BYTES};
    void *base = mmap(NULL, RESERVATION_BYTES + load->pages_max * sizeof *load->notes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        printf("memload: cannot reserve address space: %s\n", strerror(errno));
        return -1;
    }
    load->base = base;
    load->notes = (void *)(load->base + RESERVATION_BYTES);
    return 0;
}

static uint64_t *page_words(const struct load *load, size_t page)
{
    return (uint64_t *)(void *)(load->base + page * PAGE_BYTES);
}

static struct pattern page_pattern(const struct load *load, size_t page)
{
    struct note note = load->notes[page];
    return pattern_of(note.kind, page, load->seed, note.writes);
}

static void write_page(const struct load *load, size_t page)
{
    struct pattern p = page_pattern(load, page);
    uint64_t *words = page_words(load, page);
    for (size_t run = 0; run < PAGE_WORDS; run += p.period) {
        uint64_t word = p.first;
        for (size_t i = run; i < run + p.period; i++, word = word * p.factor + p.addend) words[i] = word;
    }
}

void load_renew(const struct load *load, size_t first, size_t count)
{
    for (size_t page = first; page < first + count; page++) {
        load->notes[page].writes++;
        write_page(load, page);
    }
}

void load_write_back(const struct load *load, size_t first, size_t count)
{
    for (size_t page = first; page < first + count; page++) {
        volatile uint64_t *word = page_words(load, page);
        *word = *word;
    }
}

/* Short is near the watermark below which the kernel starts to kill, with no page cache left to drop instead:
 * "available" counts some slab memory that does not come back. */
static int memory_is_short(void)
{
    struct meminfo m = meminfo_read();
    uint64_t reserve_kb = 2 * m.min_free_kb + 1024;
    return m.free_kb < reserve_kb && m.available_kb < reserve_kb + 8192;
}

/* Waits until there is memory to spare. Adds the time to *waited_us; -1 when it has been too long. */
static int wait_for_memory(uint64_t *waited_us)
{
    uint64_t began = clock_us();
    while (memory_is_short()) {
        if (clock_us() - began > GIVE_UP_MS * 1000ull) {
            printf("memload: FAIL reason=\"no memory for %d s\"\n", GIVE_UP_MS / 1000);
            return -1;
        }
        clock_sleep_ms(WAIT_MS);
    }
    *waited_us += clock_us() - began;
    return 0;
}

int load_touch(struct load *load, uint64_t bytes, enum kind kind)
{
    size_t pages = bytes / PAGE_BYTES, first = load->pages;
    if (pages > load->pages_max - first) {
        printf("memload: FAIL reason=\"touch goes beyond %llu GiB\"\n", RESERVATION_BYTES >> 30);
        return -1;
    }
    uint64_t began = clock_us(), waited_us = 0;
    if (wait_for_memory(&waited_us)) return -1;
    /* Before them, so that no page of notes, which stays, comes to lie in a large block that is free again when the pages are. */
    for (size_t i = 0; i < pages; i++) load->notes[first + i] = (struct note){.kind = (uint8_t)kind};
    for (size_t i = 0; i < pages; i++) {
        if (i % PAGES_PER_LOOK == 0 && wait_for_memory(&waited_us)) return -1;
        write_page(load, first + i);
        load->pages = first + i + 1;
    }
    printf("memload: phase=touch pages=%zu ms=%" PRIu64 " waited_ms=%" PRIu64 " all_pages=%zu\n", pages,
           (clock_us() - began) / 1000u, waited_us / 1000u, load->pages);
    return 0;
}

/* The first word of the page that is not as it was written; PAGE_WORDS when all are. */
static size_t first_wrong(const uint64_t *words, const struct pattern *p, uint64_t *expected)
{
    for (size_t run = 0; run < PAGE_WORDS; run += p->period) {
        *expected = p->first;
        for (size_t i = run; i < run + p->period; i++, *expected = *expected * p->factor + p->addend)
            if (words[i] != *expected) return i;
    }
    return PAGE_WORDS;
}

uint64_t load_check(const struct load *load, size_t first, size_t count)
{
    uint64_t bad = 0;
    for (size_t page = first; page < first + count; page++) {
        const uint64_t *words = page_words(load, page);
        struct pattern p = page_pattern(load, page);
        uint64_t expected;
        size_t at = first_wrong(words, &p, &expected);
        if (at == PAGE_WORDS || bad++ >= FAIL_LINES_MAX) continue;
        printf("memload: verify FAIL page=%zu word=%zu expected=%016" PRIx64 " got=%016" PRIx64 "\n", page,
               at, expected, words[at]);
    }
    return bad;
}

int load_verdict(struct load *load, const char *phase, uint64_t pages, uint64_t bad, uint64_t began_us)
{
    load->bad_pages += bad;
    printf("memload: %s %s pages=%" PRIu64 " bad=%" PRIu64 " ms=%" PRIu64 "\n", phase, bad ? "FAIL" : "ok",
           pages, bad, (clock_us() - began_us) / 1000u);
    return bad ? -1 : 0;
}

size_t load_pages(const struct load *load, const char *phase, uint64_t bytes)
{
    size_t pages = bytes / PAGE_BYTES;
    if (pages && pages <= load->pages) return pages;
    printf("memload: FAIL reason=\"%s: %zu pages have been touched\"\n", phase, load->pages);
    return 0;
}

int load_verify(struct load *load)
{
    uint64_t began = clock_us();
    return load_verdict(load, "verify", load->pages, load_check(load, 0, load->pages), began);
}

int load_rewrite(struct load *load)
{
    uint64_t began = clock_us();
    load_renew(load, 0, load->pages);
    printf("memload: phase=rewrite pages=%zu ms=%" PRIu64 "\n", load->pages, (clock_us() - began) / 1000u);
    return 0;
}

/* Keeps verifying, slowly, until `over` says so. */
static int hold_until(struct load *load, const char *phase, int (*over)(uint64_t began_us, uint64_t ms),
                      uint64_t ms)
{
    uint64_t began = clock_us(), bad = 0, checked = 0;
    size_t next = 0;
    while (!over(began, ms)) {
        size_t count = load->pages - next < HOLD_CHUNK_PAGES ? load->pages - next : HOLD_CHUNK_PAGES;
        bad += load_check(load, next, count);
        checked += count;
        next = next + count == load->pages ? 0 : next + count;
        clock_sleep_ms(HOLD_PERIOD_MS);
    }
    return load_verdict(load, phase, checked, bad, began);
}

static int time_is_over(uint64_t began_us, uint64_t ms)
{
    return clock_us() - began_us >= ms * 1000u;
}

static int line_has_come(uint64_t began_us, uint64_t ms)
{
    (void)began_us;
    (void)ms;
    return input_has_line();
}

int load_hold(struct load *load, uint64_t ms)
{
    return hold_until(load, "hold", time_is_over, ms);
}

int load_keep(struct load *load)
{
    printf("memload: phase=keep pages=%zu\n", load->pages);
    return hold_until(load, "keep", line_has_come, 0);
}

/* A working set of a known size: nothing else is done, and it is never asleep. */
int load_use(struct load *load, uint64_t bytes)
{
    size_t pages = load_pages(load, "use", bytes);
    if (!pages) return -1;
    printf("memload: phase=use pages=%zu\n", pages);
    uint64_t rounds = 0;
    for (; !input_has_line(); rounds++) load_write_back(load, 0, pages);
    printf("memload: use ok pages=%zu rounds=%" PRIu64 "\n", pages, rounds);
    return 0;
}

int load_free(struct load *load)
{
    size_t pages = load->pages;
    if (madvise(load->base, pages * PAGE_BYTES, MADV_DONTNEED)) {
        printf("memload: FAIL reason=\"madvise: %s\"\n", strerror(errno));
        return -1;
    }
    load->pages = 0;
    printf("memload: phase=free pages=%zu\n", pages);
    return 0;
}
