/* SPDX-License-Identifier: MIT
 *
 * Pages that hold nothing any more.
 */
#include "lib/log.h"
#include "mem/compress.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/swap.h"

struct discard {
    struct p2m *p2m;
    struct flush_batch *batch;
    uint64_t done;
    gfn_t next; /* the batch holds all the shared frames it can: to go on from here; else the end */
};

static void discard_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct discard *d = ctx;
    const struct pt_format *f = d->p2m->format;

    (void)level;
    if (page >= d->next) return;
    if (p2m_entry_type(f, pt_load(slot)) == P2M_SAMPLED) (void)sample_restore(d->p2m, slot, false);
    const uint64_t entry = pt_load(slot);
    const enum p2m_type type = p2m_entry_type(f, entry);
    if (type == P2M_SWAPPED || type == P2M_COMPRESSED) {
        pt_store(slot, pt_absent(f, P2M_UNTOUCHED));
        if (type == P2M_SWAPPED)
            swap_drop(d->p2m, entry, d->batch);
        else
            compress_drop(d->p2m, page, entry, d->batch);
        return;
    }
    if (!pt_present(f, entry) || entry & PT_PINNED) return;
    if (!(entry & PT_SHARED)) {
        p2m_park(d->p2m, pt_exchange(slot, pt_absent(f, P2M_UNTOUCHED)), d->batch);
    } else if (!p2m_drop_shared(d->p2m, slot, P2M_UNTOUCHED, d->batch)) {
        d->next = page;
        return;
    }
    d->done++;
}

uint64_t p2m_discard(struct p2m *p2m, gfn_t gfn, uint64_t count, struct flush_batch *batch)
{
    struct discard d = {.p2m = p2m, .batch = batch};
    const uint64_t limit = p2m->limit;
    const gfn_t to = gfn < limit && count < limit - gfn ? gfn + count : limit;

    if (batch->p2m != p2m) panic("a flush batch of VM slot %u for VM slot %u", batch->p2m->owner, p2m->owner);
    while (gfn < to) {
        const gfn_t table_end = (gfn | (PT_ENTRIES - 1)) + 1, end = table_end < to ? table_end : to;
        d.next = end;
        lock_acquire(&p2m->lock);
        pt_visit(p2m->format, p2m->root, gfn, end, &(struct pt_visitor){.entry = discard_entry}, &d);
        p2m->present_pages -= p2m_parked(batch);
        lock_release(&p2m->lock);
        if (d.next != end) flush_discharge(batch);
        gfn = d.next;
    }
    return d.done;
}
