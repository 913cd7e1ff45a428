/* SPDX-License-Identifier: MIT
 *
 * Pages that hold nothing any more.
 */
#include "lib/log.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"

struct discard {
    struct p2m *p2m;
    struct flush_batch *batch;
};

static void discard_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    const struct discard *d = ctx;
    const struct pt_format *f = d->p2m->format;

    (void)page, (void)level;
    if (p2m_entry_type(f, pt_load(slot)) == P2M_SAMPLED) (void)sample_restore(d->p2m, slot, false);
    if (pt_present(f, pt_load(slot)))
        p2m_park(d->p2m, pt_exchange(slot, pt_absent(f, P2M_UNTOUCHED)), d->batch);
}

uint64_t p2m_discard(struct p2m *p2m, gfn_t gfn, uint64_t count, struct flush_batch *batch)
{
    struct discard d = {.p2m = p2m, .batch = batch};
    const uint64_t had = batch->count, limit = p2m->limit;
    const gfn_t to = gfn < limit && count < limit - gfn ? gfn + count : limit;

    if (batch->p2m != p2m) panic("a flush batch of VM slot %u for VM slot %u", batch->p2m->owner, p2m->owner);
    while (gfn < to) {
        const gfn_t table_end = (gfn | (PT_ENTRIES - 1)) + 1, end = table_end < to ? table_end : to;
        lock_acquire(&p2m->lock);
        const uint64_t before = batch->count;
        pt_visit(p2m->format, p2m->root, gfn, end, &(struct pt_visitor){.entry = discard_entry}, &d);
        p2m_parked(p2m, batch, before);
        lock_release(&p2m->lock);
        gfn = end;
    }
    return batch->count - had;
}
