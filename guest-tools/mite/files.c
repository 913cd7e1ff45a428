// SPDX-License-Identifier: MIT
#include "files.h"

#include "console.h"
#include "cpu.h"
#include "disk.h"
#include "pages.h"
#include "pattern.h"

#define COPIES  2U
#define NOTHING UINT32_MAX // nobody can say what is in the block

static uint32_t page_of[FILES_PAGES_MAX];
static uint32_t stored[FILES_PAGES_MAX][COPIES]; // the version that is there
static uint32_t state = 1;
static uint32_t reads, writes;

static uint32_t below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return (uint32_t)(((uint64_t)state * limit) >> 32);
}

static void renew(uint32_t page)
{
    page_next_version(page);
    pattern_write(page);
}

static void check(uint32_t page)
{
    struct pattern_error error;
    if (pattern_check(page, &error)) return;
    say("mite: files FAIL gpa=0x%x expected=0x%x got=0x%x\nmite: exit code=1\n", error.address,
        error.expected, error.got);
    machine_exit(1);
}

static void offer(uint32_t slot, uint32_t type, uint32_t i, uint32_t copy)
{
    const struct disk_part part = disk_page(page_of[i]);
    disk_offer(slot, type, ((uint64_t)i * COPIES + copy) * PAGE_SECTORS, &part, 1);
    *(type == DISK_READ ? &reads : &writes) += 1;
}

static void step(uint32_t i)
{
    const uint32_t page = page_of[i], copy = below(COPIES);
    switch (stored[i][copy] == NOTHING ? below(2) : below(10)) {
    case 0: // to the disk
        offer(0, DISK_WRITE, i, copy);
        stored[i][copy] = page_version(page);
        disk_await(1);
        break;
    case 2:
    case 3:
    case 4: // from it, without a look at the page before
        offer(0, DISK_READ, i, copy);
        page_set_version(page, stored[i][copy]);
        disk_await(1);
        if (below(2) == 0) check(page);
        break;
    case 1: renew(page); break;
    case 6: // written to while it goes there
        offer(0, DISK_WRITE, i, copy);
        stored[i][copy] = NOTHING;
        renew(page);
        disk_await(1);
        break;
    case 7: // goes to one block while it comes from the other
        offer(0, DISK_READ, i, copy);
        offer(1, DISK_WRITE, i, COPIES - 1 - copy);
        page_set_version(page, stored[i][copy]);
        stored[i][COPIES - 1 - copy] = NOTHING;
        disk_await(2);
        break;
    default: check(page); break;
    }
}

void files_run(uint32_t page_count, uint32_t steps)
{
    uint32_t count = 0;
    if (!disk.open && !disk_start()) disk_fail("none", 0);
    for (uint32_t page = pages_next(PAGE_HELD, 0);
         page != PAGE_NONE && count < page_count && count < FILES_PAGES_MAX;
         page = pages_next(PAGE_HELD, page + 1)) {
        page_of[count] = page;
        for (uint32_t copy = 0; copy < COPIES; copy++) stored[count][copy] = NOTHING;
        count++;
    }
    reads = writes = 0;
    for (uint32_t n = 0; n < steps && count > 0; n++) step(below(count));
    for (uint32_t i = 0; i < count; i++) check(page_of[i]);
    say("mite: files ok pages=%u steps=%u reads=%u writes=%u\n", count, steps, reads, writes);
}
