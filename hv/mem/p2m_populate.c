/* SPDX-License-Identifier: MIT
 *
 * Frames for pages that nobody has touched yet.
 */
#include "mem/frame.h"
#include "mem/p2m_tables.h"

/* In one step: zeroing a page takes as long as looking at a hundred. */
#define STEP_PAGES   32u
#define STEP_ENTRIES 512u

void p2m_populate(struct p2m *p2m, uint64_t pages)
{
    lock_acquire(&p2m->lock);
    p2m->populating.asked = p2m->populating.left = pages;
    p2m->populating.from = 0;
    lock_release(&p2m->lock);
}

/* With the lock held. False: there is no frame for an untouched page. */
static bool populate_next(struct p2m *p2m)
{
    const struct pt_format *f = p2m->format;
    struct p2m_populating *p = &p2m->populating;
    const gfn_t gfn = p->from;
    unsigned level;
    uint64_t *slot = p2m_find(p2m, gfn, &level);

    if (p2m_entry_type(f, pt_load(slot)) != P2M_UNTOUCHED) {
        p->from = (gfn | (pt_span(level) - 1)) + 1;
        return true;
    }
    const mfn_t mfn = frame_alloc(p2m->page, p2m->owner, gfn);
    if (mfn == MFN_NONE) return false;
    pt_store(p2m_narrow(p2m, gfn, slot, level), pt_leaf(f, mfn << PAGE_SHIFT, 1, PT_RWX));
    p2m->present_pages++;
    p->pages++;
    p->left--;
    p->from++;
    return true;
}

struct p2m_populated p2m_populate_step(struct p2m *p2m)
{
    struct p2m_populating *p = &p2m->populating;
    struct p2m_populated result = {0};

    lock_acquire(&p2m->lock);
    const uint64_t left = p->left;
    bool frames = true;
    for (unsigned i = 0;
         i < STEP_ENTRIES && left - p->left < STEP_PAGES && frames && p->left && p->from < p2m->limit; i++)
        frames = populate_next(p2m);
    result.more = frames && p->left && p->from < p2m->limit;
    if (left && !result.more) {
        result.ended = true;
        result.given = p->asked - p->left;
        result.missing = p->left;
        p->left = 0;
    }
    lock_release(&p2m->lock);
    return result;
}
