/* SPDX-License-Identifier: MIT */
#include "mem/pt.h"

#include "mem/page.h"

bool pt_create(struct pt *pt)
{
    const mfn_t mfn = pt->table_alloc(pt->ctx);

    if (mfn == MFN_NONE) return false;
    page_zero(mfn_to_virt(mfn));
    pt->root = mfn << PAGE_SHIFT;
    return true;
}

/* Writes a table whose entries say together what `entry`, standing one level up at `level`, says alone. */
static void fill_like(const struct pt_format *f, mfn_t table, uint64_t entry, unsigned level)
{
    uint64_t *slot = mfn_to_virt(table);

    if (!pt_present(f, entry)) {
        page_fill(slot, entry);
        return;
    }
    if (level == 2) entry &= ~f->large;
    for (unsigned i = 0; i < PT_ENTRIES; i++) slot[i] = entry + i * (pt_span(level - 1) << PAGE_SHIFT);
}

/* Puts a table in the place of the leaf or non-present entry at `slot`. Returns the new entry, 0 without a
 * table page. */
static uint64_t split(struct pt *pt, uint64_t *slot, unsigned level)
{
    const mfn_t table = pt->table_alloc(pt->ctx);
    uint64_t entry = pt_load(slot);

    if (table == MFN_NONE) return 0;
    const uint64_t split = table << PAGE_SHIFT | pt->format->table;
    /* Again when the CPU has set an accessed or dirty bit meanwhile. */
    do fill_like(pt->format, table, entry, level);
    while (!__atomic_compare_exchange_n(slot, &entry, split, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
    return split;
}

uint64_t *pt_ensure(struct pt *pt, uint64_t page, unsigned level)
{
    unsigned l = pt->format->levels;
    uint64_t *slot = pt_slot(pt->root, l, page);

    for (; l > level; l--) {
        uint64_t entry = pt_load(slot);
        if (!pt_is_table(pt->format, entry, l)) {
            entry = split(pt, slot, l);
            if (!entry) return NULL;
        }
        slot = pt_slot(pt_address(pt->format, entry), l - 1, page);
    }
    return slot;
}

/* What is to become of every entry of a range. */
struct edit {
    enum { EDIT_MAP, EDIT_PROTECT, EDIT_MARK } kind;
    uint64_t from;    /* first page of the range */
    hpa_t hpa;        /* MAP: where that one leads */
    unsigned rights;  /* MAP, PROTECT */
    unsigned largest; /* MAP */
    uint64_t absent;  /* MARK: the new entry */
};

static bool fits(const struct edit *e, uint64_t page, unsigned level)
{
    const hpa_t hpa = e->hpa + ((page - e->from) << PAGE_SHIFT);

    return e->kind != EDIT_MAP || (level <= e->largest && (hpa & ((pt_span(level) << PAGE_SHIFT) - 1)) == 0);
}

static uint64_t edited(const struct pt_format *f, const struct edit *e, uint64_t entry, uint64_t page,
                       unsigned level)
{
    switch (e->kind) {
    case EDIT_MAP: return pt_leaf(f, e->hpa + ((page - e->from) << PAGE_SHIFT), level, e->rights);
    case EDIT_PROTECT:
        if (!pt_present(f, entry)) return entry;
        return pt_leaf(f, pt_address(f, entry), level, e->rights) | (entry & (f->accessed | f->dirty));
    case EDIT_MARK: break;
    }
    return e->absent;
}

static bool edit_range(struct pt *pt, hpa_t table, unsigned level, uint64_t from, uint64_t to,
                       const struct edit *e)
{
    const struct pt_format *f = pt->format;
    const uint64_t span = pt_span(level);
    uint64_t end;

    for (uint64_t page = from; page < to; page = end) {
        uint64_t *slot = pt_slot(table, level, page);
        uint64_t entry = pt_load(slot);

        end = (page | (span - 1)) + 1;
        if (end > to) end = to;
        if (!pt_is_table(f, entry, level)) {
            /* A wide entry of which a part changes to what it is already need not be split. */
            if (e->kind != EDIT_MAP && edited(f, e, entry, page, level) == entry) continue;
            if (end - page == span && fits(e, page, level)) {
                while (!__atomic_compare_exchange_n(slot, &entry, edited(f, e, entry, page, level), false,
                                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
                }
                continue;
            }
            entry = split(pt, slot, level);
            if (!entry) return false;
        }
        if (!edit_range(pt, pt_address(f, entry), level - 1, page, end, e)) return false;
    }
    return true;
}

static bool edit(struct pt *pt, uint64_t count, const struct edit *e)
{
    return edit_range(pt, pt->root, pt->format->levels, e->from, e->from + count, e);
}

bool pt_map(struct pt *pt, uint64_t addr, hpa_t hpa, uint64_t bytes, unsigned rights, unsigned largest)
{
    return edit(
        pt, bytes >> PAGE_SHIFT,
        &(struct edit){
            .kind = EDIT_MAP, .from = addr >> PAGE_SHIFT, .hpa = hpa, .rights = rights, .largest = largest});
}

bool pt_protect(struct pt *pt, uint64_t addr, uint64_t bytes, unsigned rights)
{
    return edit(pt, bytes >> PAGE_SHIFT,
                &(struct edit){.kind = EDIT_PROTECT, .from = addr >> PAGE_SHIFT, .rights = rights});
}

bool pt_unmap(struct pt *pt, uint64_t addr, uint64_t bytes)
{
    return edit(pt, bytes >> PAGE_SHIFT, &(struct edit){.kind = EDIT_MARK, .from = addr >> PAGE_SHIFT});
}

bool pt_mark(struct pt *pt, uint64_t page, uint64_t count, unsigned type)
{
    return edit(pt, count,
                &(struct edit){.kind = EDIT_MARK, .from = page, .absent = pt_absent(pt->format, type)});
}

void pt_share(struct pt *pt, const struct pt *from, uint64_t addr, uint64_t bytes)
{
    const unsigned top = pt->format->levels;
    const uint64_t end = (addr >> PAGE_SHIFT) + (bytes >> PAGE_SHIFT);

    for (uint64_t page = addr >> PAGE_SHIFT; page < end; page += pt_span(top)) {
        pt_store(pt_slot(pt->root, top, page), pt_load(pt_slot(from->root, top, page)));
    }
}

bool pt_lookup(const struct pt *pt, uint64_t addr, hpa_t *hpa, unsigned *rights)
{
    const struct pt_format *f = pt->format;
    unsigned level;
    const uint64_t entry = *pt_find(f, pt->root, addr >> PAGE_SHIFT, &level);

    if (!pt_present(f, entry)) return false;
    if (hpa) *hpa = pt_address(f, entry) + (addr & ((pt_span(level) << PAGE_SHIFT) - 1));
    if (rights) {
        const uint64_t reads = f->read ? f->read : f->present;
        *rights = (entry & reads ? PT_READ : 0u) | (entry & f->write ? PT_WRITE : 0u) |
                  ((f->exec ? entry & f->exec : ~entry & f->no_exec) ? PT_EXEC : 0u) |
                  (entry & f->user ? PT_USER : 0u) | (entry & f->global ? PT_GLOBAL : 0u) |
                  ((entry & (f->cached | f->uncached)) == f->uncached ? PT_UNCACHED : 0u);
    }
    return true;
}
