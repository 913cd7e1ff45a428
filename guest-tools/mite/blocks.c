// SPDX-License-Identifier: MIT
#include "blocks.h"

#include "console.h"
#include "cpu.h"
#include "disk.h"
#include "pages.h"
#include "pattern.h"

#define WORDS       (SECTOR_BYTES / 4)
#define NOTHING     0U // nobody can say what is in the sector
#define PARTS       DISK_SLOT_PAGES
#define PAGES_LEAST (4 * PARTS)

static uint32_t page_of[BLOCKS_PAGES_MAX];
static uint32_t held[BLOCKS_PAGES_MAX][PAGE_SECTORS]; // the tag of what is there
static uint32_t stored[BLOCKS_PAGES_MAX * PAGE_SECTORS / 2];
static uint32_t pages, sectors, tags;
static uint32_t reads, writes;

// A request: so many sectors of these pages, from a sector of the disk on.
struct request {
    uint32_t type, sector, count, all;
    struct {
        uint32_t i, first, sectors;
    } part[PARTS];
};

static uint32_t below(uint32_t limit)
{
    static uint32_t state = 1;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (uint32_t)(((uint64_t)state * limit) >> 32);
}

static volatile uint32_t *words_of(uint32_t i, uint32_t sector)
{
    return (volatile uint32_t *)(page_address(page_of[i]) + sector * SECTOR_BYTES);
}

static void fill(uint32_t i, uint32_t sector)
{
    const uint32_t tag = held[i][sector] = ++tags;
    volatile uint32_t *words = words_of(i, sector);
    for (uint32_t w = 0; w < WORDS; w++) words[w] = tag ^ (w / 8) << 24;
}

// What is there now is so from here on.
static void learn(uint32_t i, uint32_t sector)
{
    const volatile uint32_t *words = words_of(i, sector);
    const uint32_t tag = held[i][sector] = words[0];
    for (uint32_t w = 0; w < WORDS; w++) {
        if (words[w] == (tag ^ (w / 8) << 24)) continue;
        fill(i, sector); // the disk got it in the middle of a write
        return;
    }
}

static void check(uint32_t i)
{
    for (uint32_t s = 0; s < PAGE_SECTORS; s++) {
        const volatile uint32_t *words = words_of(i, s);
        for (uint32_t w = 0; w < WORDS; w++) {
            const uint32_t got = words[w], expected = held[i][s] ^ (w / 8) << 24;
            if (got == expected) continue;
            say("mite: blocks FAIL gpa=0x%x expected=0x%x got=0x%x\nmite: exit code=1\n", (uint32_t)&words[w],
                expected, got);
            machine_exit(1);
        }
    }
}

// Mostly whole pages and whole blocks; no page twice.
static void choose(struct request *r, uint32_t type)
{
    *r = (struct request){.type = type, .count = 1 + below(PARTS)};
    const uint32_t at = below(pages - PARTS);
    for (uint32_t p = 0; p < r->count; p++) {
        const uint32_t first = below(6) == 0 ? below(PAGE_SECTORS) : 0;
        const uint32_t most = PAGE_SECTORS - first;
        r->part[p].i = at + p;
        r->part[p].first = first;
        r->part[p].sectors = below(6) == 0 ? 1 + below(most) : most;
        r->all += r->part[p].sectors;
    }
    r->sector = below(sectors - PARTS * PAGE_SECTORS);
    if (below(5) != 0) r->sector -= r->sector % PAGE_SECTORS;
}

static void offer(uint32_t slot, const struct request *r)
{
    struct disk_part parts[PARTS];
    for (uint32_t p = 0; p < r->count; p++)
        parts[p] = (struct disk_part){(uint32_t)words_of(r->part[p].i, r->part[p].first),
                                      r->part[p].sectors * SECTOR_BYTES};
    disk_offer(slot, r->type, r->sector, parts, r->count);
    *(r->type == DISK_READ ? &reads : &writes) += 1;
}

// The request has ended. If it was not alone with its sectors and pages, nobody can say what it has moved.
static void account(const struct request *r, bool alone)
{
    uint32_t at = r->sector;
    for (uint32_t p = 0; p < r->count; p++) {
        const uint32_t i = r->part[p].i, first = r->part[p].first;
        for (uint32_t s = first; s < first + r->part[p].sectors; s++, at++) {
            if (r->type == DISK_WRITE)
                stored[at] = alone ? held[i][s] : NOTHING;
            else if (alone && stored[at] != NOTHING)
                held[i][s] = stored[at];
            else
                learn(i, s);
        }
    }
}

static void look(const struct request *r)
{
    for (uint32_t p = 0; p < r->count; p++) check(r->part[p].i);
}

static void step(void)
{
    struct request a, b;
    const uint32_t i = below(pages);
    bool turn;
    choose(&a, below(3) == 0 ? DISK_WRITE : DISK_READ);
    switch (below(12)) {
    case 0:
    case 1: // a part is written to by the CPU, or all of it
        for (uint32_t s = below(2) ? below(PAGE_SECTORS) : 0; s < PAGE_SECTORS; s += 1 + below(3)) fill(i, s);
        break;
    case 2: // pages are written to while they go to the disk
        a.type = DISK_WRITE;
        offer(0, &a);
        fill(a.part[0].i, a.part[0].first);
        disk_await(1);
        account(&a, false);
        break;
    case 3: // pages that came from the same blocks, at the same time
        a.type = DISK_READ;
        b = a;
        for (uint32_t p = 0; p < b.count; p++) b.part[p].i = (a.part[p].i + PARTS) % pages;
        b.sector += below(2);
        offer(0, &a);
        offer(1, &b);
        disk_await(2);
        account(&a, true);
        account(&b, true);
        if (below(2)) look(&b);
        break;
    case 4: // blocks that are read and written at the same time
        a.type = DISK_READ;
        b = a;
        b.type = DISK_WRITE;
        for (uint32_t p = 0; p < b.count; p++) b.part[p].i = (a.part[p].i + PARTS) % pages;
        b.sector += below(2);
        turn = below(2) != 0;
        offer(0, turn ? &b : &a);
        offer(1, turn ? &a : &b);
        disk_await(2);
        account(&b, false);
        account(&a, false);
        break;
    case 5:
    case 6: check(i); break;
    default:
        offer(0, &a);
        disk_await(1);
        account(&a, true);
        if (below(2)) look(&a);
        break;
    }
}

// All of the disk's part, through one page.
static void check_disk(void)
{
    struct request r = {.type = DISK_READ, .count = 1, .part = {{0, 0, PAGE_SECTORS}}};
    for (r.sector = 0; r.sector < sectors; r.sector += PAGE_SECTORS) {
        offer(0, &r);
        disk_await(1);
        account(&r, true);
        check(0);
    }
}

void blocks_run(uint32_t page_count, uint32_t steps)
{
    pages = 0;
    if (!disk.open && !disk_start()) disk_fail("none", 0);
    for (uint32_t page = pages_next(PAGE_HELD, 0);
         page != PAGE_NONE && pages < page_count && pages < BLOCKS_PAGES_MAX;
         page = pages_next(PAGE_HELD, page + 1))
        page_of[pages++] = page;
    if (pages < PAGES_LEAST) disk_fail("too few pages held", 0);
    sectors = pages / 2 * PAGE_SECTORS;
    for (uint32_t s = 0; s < sectors; s++) stored[s] = NOTHING;
    for (uint32_t i = 0; i < pages; i++)
        for (uint32_t s = 0; s < PAGE_SECTORS; s++) fill(i, s);
    reads = writes = 0;
    for (uint32_t n = 0; n < steps; n++) step();
    for (uint32_t i = 0; i < pages; i++) check(i);
    check_disk();
    for (uint32_t i = 0; i < pages; i++) {
        page_next_version(page_of[i]);
        pattern_write(page_of[i]);
    }
    say("mite: blocks ok pages=%u steps=%u reads=%u writes=%u\n", pages, steps, reads, writes);
}
