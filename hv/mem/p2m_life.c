/* SPDX-License-Identifier: MIT
 *
 * A whole map: made, forgotten, taken down.
 */
#include "lib/log.h"
#include "mem/compress.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/origin.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/share_table.h"
#include "mem/swap.h"

/* Second-level tables are walked in four levels on every CPU that has them. */
#define P2M_LEVELS 4u
/* Frames note their gfn in 32 bits. */
#define P2M_PAGES  (1ull << 32)

/* Whether one of the first n ranges has a page in table number `table` of `level`. */
static bool reaches(const struct p2m_range *ranges, size_t n, uint64_t table, unsigned level)
{
    const uint64_t pages = pt_span(level + 1); /* that a table of this level covers */

    for (size_t i = 0; i < n; i++) {
        if (ranges[i].start / pages <= table && table <= (ranges[i].start + ranges[i].count - 1) / pages) {
            return true;
        }
    }
    return false;
}

/* Ranges do not overlap, so two can only share a table that is the first or the last of one of them. */
uint64_t p2m_table_pages(const struct p2m_range *ranges, size_t range_count)
{
    uint64_t tables = 1; /* the root */

    for (unsigned level = 1; level < P2M_LEVELS; level++) {
        for (size_t i = 0; i < range_count; i++) {
            const uint64_t first = ranges[i].start / pt_span(level + 1);
            const uint64_t last = (ranges[i].start + ranges[i].count - 1) / pt_span(level + 1);
            tables += last - first + 1;
            if (reaches(ranges, i, first, level)) tables--;
            if (last != first && reaches(ranges, i, last, level)) tables--;
        }
    }
    return tables;
}

static bool ranges_ok(const struct p2m_range *ranges, size_t range_count)
{
    for (size_t i = 0; i < range_count; i++) {
        const struct p2m_range *a = &ranges[i];
        if (!a->count || a->start > P2M_PAGES || a->count > P2M_PAGES - a->start) return false;
        for (size_t j = 0; j < i; j++) {
            const struct p2m_range *b = &ranges[j];
            if (a->start < b->start + b->count && b->start < a->start + a->count) return false;
        }
    }
    return true;
}

bool p2m_create(struct p2m *p2m, const struct pt_format *format, uint16_t owner,
                const struct p2m_range *ranges, size_t range_count)
{
    *p2m = (struct p2m){.format = format, .lock = LOCK_INIT(LOCK_P2M), .owner = owner, .page = FRAME_GUEST};
    if (format->levels != P2M_LEVELS) panic("a second-level format of %u levels", format->levels);
    if (owner == FRAME_OWNER_CORE || owner > FRAME_OWNERS_MAX) panic("a map for VM slot %u", owner);
    if (!ranges_ok(ranges, range_count)) return false;
    const uint64_t tables = p2m_table_pages(ranges, range_count);
    if (!frames_promise(tables)) return false;
    p2m->promised = tables;
    frames_new_owner(owner);

    struct pt pt = p2m_tables(p2m);
    bool made = pt_create(&pt);
    p2m->root = pt.root;
    for (size_t i = 0; i < range_count; i++) {
        made = made && pt_mark(&pt, ranges[i].start, ranges[i].count, P2M_UNTOUCHED);
        p2m->size_pages += ranges[i].count;
        const gfn_t end = ranges[i].start + ranges[i].count;
        if (end > p2m->limit) p2m->limit = end;
    }
    if (!made) panic("a promised table page was not to be had");
    share_register(p2m);
    return true;
}

/* All RAM that has this visitor run over it becomes UNTOUCHED; frames wait in the batch. */
struct forget {
    struct p2m *p2m;
    struct flush_batch *batch;
};

static void forget_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    const struct forget *forget = ctx;
    const struct pt_format *f = forget->p2m->format;
    const uint64_t old = pt_exchange(slot, pt_absent(f, P2M_UNTOUCHED));
    const enum p2m_type type = p2m_entry_type(f, old);

    if (type == P2M_SWAPPED) swap_drop(forget->p2m, old, forget->batch);
    if (type == P2M_COMPRESSED) compress_drop(forget->p2m, page, old, forget->batch);
    if (type == P2M_PRESENT && old & PT_PINNED)
        frame_keep(p2m_entry_mfn(f, old)); /* the device is not to be stopped */
    else if (type == P2M_PRESENT)
        p2m_park(forget->p2m, old, forget->batch);
    if (type == P2M_BALLOONED) forget->p2m->ballooned_pages -= pt_span(level);
    if (type != P2M_SHARED) return;
    const mfn_t mfn = p2m_entry_mfn(f, old);
    p2m_count_shared(forget->p2m, mfn, -1);
    lock_acquire(&share.lock);
    share_put(mfn, &forget->batch->parked);
    lock_release(&share.lock);
}

void p2m_reset(struct p2m *p2m)
{
    FLUSH_BATCH(batch, p2m);

    /* No vCPU runs, so a flush before is as good as one after. The parts in shared frames can then be given back at once, any number
     * of them. */
    lock_acquire(&p2m->lock);
    batch.owed = p2m->sharing.pages != 0;
    lock_release(&p2m->lock);
    flush_discharge(&batch);
    lock_acquire(&p2m->lock);
    sample_drop(p2m);
    pt_visit(p2m->format, p2m->root, 0, p2m->limit, &(struct pt_visitor){.entry = forget_entry},
             &(struct forget){.p2m = p2m, .batch = &batch});
    (void)p2m_parked(&batch);
    p2m->present_pages = p2m->pinned_pages = 0;
    p2m->colouring.stray = 0;
    p2m->colouring.off = frames_coloured(p2m->owner).off;
    lock_release(&p2m->lock);
    flush_discharge(&batch);
}

void p2m_destroy(struct p2m *p2m)
{
    if (!p2m->table_pages) return; /* gone already */
    p2m_retire(p2m);
    /* First the frames, flushed; then the tables, which nobody has cached any more. */
    p2m_reset(p2m);
    swap_forget(p2m);
    p2m_set_colours(p2m, 0, 0);
    origin_destroy(p2m);
    lock_acquire(&p2m->lock);
    struct pt pt = p2m_tables(p2m);
    pt_destroy(&pt, 0, p2m->limit << PAGE_SHIFT);
    frames_unpromise(p2m->promised);
    p2m->promised = 0;
    p2m->root = 0;
    p2m->limit = 0;
    p2m->size_pages = 0;
    lock_release(&p2m->lock);
}
