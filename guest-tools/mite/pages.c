// SPDX-License-Identifier: MIT
#include "pages.h"

#include "memory.h"

// One word per page: state, kind, whether it was used, version.
#define STATE_MASK    0x7U
#define KIND_SHIFT    3
#define KIND_MASK     (0x7U << KIND_SHIFT)
#define USED          (1U << 6)
#define VERSION_SHIFT 8
#define VERSION_ONE   (1U << VERSION_SHIFT)

#define LOWEST_MANAGED 0x100000U

extern uint8_t image_start[];
extern uint8_t image_end[];

static uint32_t *table;
static uint32_t first_address;
static uint32_t page_end;
static uint32_t counts[PAGE_STATES];
static uint32_t used_count;
static uint32_t own_count;

// All pages in a state lie in [lowest, highest).
static uint32_t lowest[PAGE_STATES];
static uint32_t highest[PAGE_STATES];

static uint32_t bytes_to_pages(uint32_t size_bytes)
{
    return (size_bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

static uint32_t range_start(const struct ram_range *range)
{
    return range->base < LOWEST_MANAGED ? LOWEST_MANAGED : range->base;
}

// The last byte, because the end may be 2^32.
static uint32_t range_last(const struct ram_range *range)
{
    return range->base + (range->page_count * PAGE_BYTES - 1);
}

static void reserve(uint32_t address, uint32_t page_count)
{
    uint32_t page = page_at(address);
    for (uint32_t i = 0; i < page_count; i++)
        if (page_state(page + i) != PAGE_RESERVED) page_set_state(page + i, PAGE_RESERVED);
}

static void admit(const struct ram_range *range)
{
    if (range_last(range) < LOWEST_MANAGED) return;
    uint32_t last = page_at(range_last(range));
    for (uint32_t page = page_at(range_start(range)); page <= last; page++)
        if (page_state(page) == PAGE_RESERVED) page_set_state(page, PAGE_FRESH);
}

bool pages_init(const struct boot *boot)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < boot->ram_count; i++)
        if (range_last(&boot->ram[i]) > last) last = range_last(&boot->ram[i]);
    if (last <= (uint32_t)image_end) return false;
    first_address = LOWEST_MANAGED;
    page_end = (last - first_address) / PAGE_BYTES + 1;
    uint32_t table_bytes = page_end * (uint32_t)sizeof *table;
    for (uint32_t i = 0; i < boot->ram_count && !table; i++) {
        uint32_t start = range_start(&boot->ram[i]);
        if (start < (uint32_t)image_end) start = (uint32_t)image_end;
        if (start <= range_last(&boot->ram[i]) && range_last(&boot->ram[i]) - start >= table_bytes)
            table = (uint32_t *)start;
    }
    if (!table) return false;
    memset(table, 0, table_bytes);
    counts[PAGE_RESERVED] = page_end;
    for (uint32_t state = 0; state < PAGE_STATES; state++) lowest[state] = page_end;
    for (uint32_t i = 0; i < boot->ram_count; i++) admit(&boot->ram[i]);
    uint32_t image_pages = bytes_to_pages((uint32_t)(image_end - image_start));
    reserve((uint32_t)image_start, image_pages);
    reserve((uint32_t)table, bytes_to_pages(table_bytes));
    own_count = image_pages + bytes_to_pages(table_bytes);
    return true;
}

uint32_t pages_end(void)
{
    return page_end;
}

uint32_t pages_count(enum page_state state)
{
    return counts[state];
}

uint32_t pages_managed(void)
{
    return page_end - counts[PAGE_RESERVED];
}

uint32_t pages_own(void)
{
    return own_count;
}

uint32_t page_address(uint32_t page)
{
    return first_address + page * PAGE_BYTES;
}

uint32_t page_at(uint32_t address)
{
    uint32_t page = (address - first_address) / PAGE_BYTES;
    return address >= first_address && page < page_end ? page : PAGE_NONE;
}

enum page_state page_state(uint32_t page)
{
    return (enum page_state)(table[page] & STATE_MASK);
}

void page_set_state(uint32_t page, enum page_state state)
{
    counts[page_state(page)]--;
    counts[state]++;
    table[page] = (table[page] & ~STATE_MASK) | state;
    if (page < lowest[state]) lowest[state] = page;
    if (page >= highest[state]) highest[state] = page + 1;
}

enum page_kind page_kind(uint32_t page)
{
    return (enum page_kind)((table[page] & KIND_MASK) >> KIND_SHIFT);
}

void page_set_kind(uint32_t page, enum page_kind kind)
{
    table[page] = (table[page] & ~KIND_MASK) | ((uint32_t)kind << KIND_SHIFT);
}

uint32_t page_version(uint32_t page)
{
    return table[page] >> VERSION_SHIFT;
}

void page_next_version(uint32_t page)
{
    table[page] += VERSION_ONE;
}

void page_set_version(uint32_t page, uint32_t version)
{
    table[page] = (table[page] & (VERSION_ONE - 1)) | version << VERSION_SHIFT;
}

void page_mark_used(uint32_t page)
{
    used_count += !(table[page] & USED);
    table[page] |= USED;
}

uint32_t pages_used(void)
{
    return used_count;
}

void pages_forget_use(void)
{
    for (uint32_t page = 0; page < page_end; page++) table[page] &= ~USED;
    used_count = 0;
}

uint32_t pages_next(enum page_state state, uint32_t from)
{
    if (from < lowest[state]) from = lowest[state];
    for (uint32_t page = from; page < highest[state]; page++)
        if (page_state(page) == state) return page;
    return PAGE_NONE;
}

uint32_t pages_lowest(enum page_state state)
{
    uint32_t page = pages_next(state, 0);
    lowest[state] = page == PAGE_NONE ? highest[state] : page;
    return page;
}

uint32_t pages_highest(enum page_state state)
{
    while (highest[state] > lowest[state] && page_state(highest[state] - 1) != state) highest[state]--;
    return highest[state] > lowest[state] ? highest[state] - 1 : PAGE_NONE;
}

uint32_t pages_available(void)
{
    return counts[PAGE_FRESH] + counts[PAGE_FREE];
}

uint32_t pages_lowest_available(void)
{
    uint32_t fresh = pages_lowest(PAGE_FRESH);
    uint32_t free = pages_lowest(PAGE_FREE);
    return fresh < free ? fresh : free;
}

uint32_t pages_highest_available(void)
{
    uint32_t fresh = pages_highest(PAGE_FRESH);
    uint32_t free = pages_highest(PAGE_FREE);
    return fresh == PAGE_NONE ? free : free == PAGE_NONE || fresh > free ? fresh : free;
}
