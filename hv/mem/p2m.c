/* SPDX-License-Identifier: MIT
 *
 * One page at a time: looking up and touching.
 */
#include "mem/p2m.h"

#include "mem/frame.h"
#include "mem/p2m_tables.h"

enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn)
{
    enum p2m_type type = P2M_HOLE;
    unsigned level;

    lock_acquire(&p2m->lock);
    const uint64_t *slot = p2m_find(p2m, gfn, &level);
    if (slot) type = p2m_entry_type(p2m->format, *slot);
    if (type == P2M_PRESENT) *mfn = p2m_entry_mfn(p2m->format, *slot);
    lock_release(&p2m->lock);
    return type;
}

/* With the lock held, for an entry that is not present. */
static enum p2m_touch populate(struct p2m *p2m, gfn_t gfn, uint64_t *slot, unsigned level, mfn_t *mfn)
{
    const enum p2m_type was = p2m_entry_type(p2m->format, *slot);

    if (was == P2M_HOLE) return P2M_TOUCH_HOLE;
    *mfn = frame_alloc(FRAME_GUEST, p2m->owner, gfn);
    if (*mfn == MFN_NONE) return P2M_TOUCH_NO_MEMORY;
    slot = p2m_narrow(p2m, gfn, slot, level);
    pt_store(slot, pt_leaf(p2m->format, *mfn << PAGE_SHIFT, 1, PT_RWX));
    p2m->present_pages++;
    if (was == P2M_BALLOONED) {
        p2m->ballooned_pages--;
        p2m->pops++;
    } else {
        p2m->first_touches++;
    }
    return P2M_TOUCH_OK;
}

enum p2m_touch p2m_touch(struct p2m *p2m, gfn_t gfn, mfn_t *mfn)
{
    enum p2m_touch result = P2M_TOUCH_OK;
    unsigned level;

    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, gfn, &level);
    if (!slot)
        result = P2M_TOUCH_HOLE;
    else if (pt_present(p2m->format, *slot))
        *mfn = p2m_entry_mfn(p2m->format, *slot);
    else
        result = populate(p2m, gfn, slot, level, mfn);
    lock_release(&p2m->lock);
    return result;
}
