/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: edits of page tables in all three formats. The reference is the list of edits itself: the last
 * one that covers a page decides about it.
 *
 * With libFuzzer:  make build/tests/fuzz/mem_walker && build/tests/fuzz/mem_walker -max_len=400
 * In the host tier random inputs run under sanitizers (mem_walker_random.c).
 */
#include "mem_tables.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TABLES     100u
#define EDITS_MAX  32u
#define EDIT_BYTES 12u
/* Far from each other and from both ends of what four levels reach. */
#define PAGES      (1ull << 28)

struct edit {
    enum { MAP, PROTECT, UNMAP, SPLIT } kind;
    unsigned rights, largest;
    uint64_t page, count;
    uint64_t target; /* frame */
};

static struct test_tables t;
static struct edit edits[EDITS_MAX];
static size_t edit_count;

static void check(bool ok)
{
    if (!ok) abort();
}

/* Places and lengths that are often, but not always, aligned to a leaf of some size. */
static uint64_t shaped(const uint8_t *at, uint64_t limit)
{
    const unsigned shift = 9u * (at[0] % 3u);
    const uint64_t low = at[0] & 0x80 ? at[1] % 3u : 0;

    return ((((uint64_t)at[1] | (uint64_t)at[2] << 8) << shift) + low) % limit;
}

static struct edit decode(const uint8_t *at)
{
    struct edit e = {
        .kind = at[0] & 3, .rights = PT_READ | (at[1] & (PT_WRITE | PT_EXEC)), .largest = 1u + at[2] % 3u};

    if (t.pt.format == &pt_format_host) e.rights |= at[1] & (PT_USER | PT_GLOBAL);
    if (at[1] & 0x80) e.rights |= PT_UNCACHED;
    e.page = shaped(at + 3, PAGES);
    e.count = e.kind == SPLIT ? 1 : 1 + shaped(at + 6, PAGES - e.page);
    e.target = at[9] & 0x40 ? e.page : shaped(at + 9, PAGES);
    /* Or one edit takes all table pages. */
    if (e.kind == MAP && (e.largest == 1 || (e.target ^ e.page) % 512)) e.count = 1 + e.count % 1024;
    return e;
}

static bool apply(const struct edit *e)
{
    const uint64_t addr = e->page << PAGE_SHIFT, bytes = e->count << PAGE_SHIFT;

    switch (e->kind) {
    case MAP: return pt_map(&t.pt, addr, e->target << PAGE_SHIFT, bytes, e->rights, e->largest);
    case PROTECT: return pt_protect(&t.pt, addr, bytes, e->rights);
    case UNMAP: return pt_unmap(&t.pt, addr, bytes);
    case SPLIT: break;
    }
    return pt_ensure(&t.pt, e->page, e->largest) != NULL;
}

static void check_page(uint64_t page, const struct edit *unfinished)
{
    bool there = false, found;
    uint64_t target = 0, span;
    unsigned rights = 0, got_rights = 0;
    hpa_t hpa = 0;

    if (page >= PAGES || (unfinished && page - unfinished->page < unfinished->count)) return;
    for (size_t i = 0; i < edit_count; i++) {
        const struct edit *e = &edits[i];
        if (page - e->page >= e->count) continue;
        if (e->kind == MAP) target = e->target + (page - e->page);
        if (e->kind == MAP || e->kind == PROTECT) rights = e->rights;
        if (e->kind == MAP || e->kind == UNMAP) there = e->kind == MAP;
    }
    found = pt_lookup(&t.pt, page << PAGE_SHIFT | 0x123, &hpa, &got_rights);
    check(found == there);
    const uint64_t entry = cpu_entry(&t.pt, page, &span);
    check(pt_present(t.pt.format, entry) == there);
    if (!there) return;
    check(hpa == (target << PAGE_SHIFT | 0x123) && got_rights == rights);
    const uint64_t frame = (entry & t.pt.format->address) >> PAGE_SHIFT;
    check(frame + (page & (span - 1)) == target);
    check((frame & (span - 1)) == 0);           /* reserved bits in a large leaf */
    check(((entry & 0x80) != 0) == (span > 1)); /* PAT in a small one */
}

static void check_all(const struct edit *unfinished)
{
    for (size_t i = 0; i < edit_count; i++) {
        const uint64_t first = edits[i].page, last = first + edits[i].count - 1;
        check_page(first - 1, unfinished);
        check_page(first, unfinished);
        check_page((first + last) / 2, unfinished);
        check_page(last, unfinished);
        check_page(last + 1, unfinished);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pt_format *const formats[] = {&pt_format_ept, &pt_format_npt, &pt_format_host};

    if (size < 1) return 0;
    if (!t.limit) tables_make(&t, &pt_format_ept, TABLES);
    /* The arena keeps what the input before left in it: no table may show it. */
    t.pt.format = formats[data[0] % 3];
    t.next = 1;
    t.freed = 0;
    check(pt_create(&t.pt));
    edit_count = 0;
    for (data++, size--; size >= EDIT_BYTES && edit_count < EDITS_MAX;
         data += EDIT_BYTES, size -= EDIT_BYTES) {
        const struct edit e = decode(data);
        if (!apply(&e)) {
            check(t.next == t.limit);
            check_all(&e); /* what it did not cover is as before */
            break;
        }
        edits[edit_count++] = e;
        check_all(NULL);
    }
    const uint64_t made = t.next - 1;
    pt_destroy(&t.pt, 0, 1ull << 48);
    check(t.freed == made);
    return 0;
}
