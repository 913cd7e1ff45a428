/* SPDX-License-Identifier: MIT
 *
 * Many pages at a time, in ascending order.
 */
#include "mem/p2m_tables.h"
#include "mem/sample.h"

static void pop_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct p2m *p2m = ctx;

    (void)page;
    if (p2m_entry_type(p2m->format, *slot) != P2M_BALLOONED) return;
    pt_store(slot, pt_absent(p2m->format, P2M_UNTOUCHED));
    p2m->ballooned_pages -= pt_span(level);
}

/* Under one hold of the lock, 1 GiB: other vCPUs' first touches wait for it. */
#define PIECE pt_span(3)

uint64_t p2m_pop_all(struct p2m *p2m)
{
    const gfn_t limit = p2m->limit;
    uint64_t popped = 0;

    for (gfn_t from = 0; from < limit; from += PIECE) {
        lock_acquire(&p2m->lock);
        const uint64_t were = p2m->ballooned_pages;
        if (were) {
            pt_visit(p2m->format, p2m->root, from, from + PIECE < limit ? from + PIECE : limit,
                     &(struct pt_visitor){.entry = pop_entry}, p2m);
        }
        popped += were - p2m->ballooned_pages;
        lock_release(&p2m->lock);
        if (!were) break;
    }
    return popped;
}

struct walk {
    const struct p2m *p2m;
    const struct pt_format *format;
    gfn_t from, to;
    void (*visit)(void *ctx, gfn_t gfn, enum p2m_type type, mfn_t mfn);
    void *ctx;
};

static void walk_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    const struct walk *w = ctx;
    const uint64_t entry = pt_load(slot);
    const enum p2m_type type = p2m_entry_type(w->format, entry);
    const uint64_t leaf = type == P2M_SAMPLED ? sample_behind(w->p2m, page, entry) : entry;
    const mfn_t mfn = pt_present(w->format, leaf) ? p2m_entry_mfn(w->format, leaf) : MFN_NONE;
    const gfn_t from = page < w->from ? w->from : page;
    const gfn_t end = page + pt_span(level) > w->to ? w->to : page + pt_span(level);

    for (gfn_t gfn = from; gfn < end; gfn++) w->visit(w->ctx, gfn, type, mfn);
}

void p2m_walk(struct p2m *p2m, gfn_t from, gfn_t to,
              void (*visit)(void *ctx, gfn_t gfn, enum p2m_type type, mfn_t mfn), void *ctx)
{
    struct walk w = {.p2m = p2m, .format = p2m->format, .from = from, .to = to, .visit = visit, .ctx = ctx};

    lock_acquire(&p2m->lock);
    if (w.to > p2m->limit) w.to = p2m->limit;
    if (w.from < w.to) {
        pt_visit(p2m->format, p2m->root, w.from, w.to, &(struct pt_visitor){.entry = walk_entry}, &w);
    }
    lock_release(&p2m->lock);
}
