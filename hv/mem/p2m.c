/* SPDX-License-Identifier: MIT
 *
 * One page at a time: looking up, touching, and the balloon.
 */
#include "mem/p2m.h"

#include "lib/log.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/p2m_tables.h"

/* The entry that decides about gfn; NULL above all RAM. */
static uint64_t *find(struct p2m *p2m, gfn_t gfn, unsigned *level)
{
    return gfn < p2m->limit ? pt_find(p2m->format, p2m->root, gfn, level) : NULL;
}

/* The 4 KiB entry of a RAM page. */
static uint64_t *narrow(struct p2m *p2m, gfn_t gfn, uint64_t *slot, unsigned level)
{
    return level == 1 ? slot : p2m_split(p2m, gfn);
}

enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn)
{
    enum p2m_type type = P2M_HOLE;
    unsigned level;

    lock_acquire(&p2m->lock);
    const uint64_t *slot = find(p2m, gfn, &level);
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
    slot = narrow(p2m, gfn, slot, level);
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
    uint64_t *slot = find(p2m, gfn, &level);
    if (!slot)
        result = P2M_TOUCH_HOLE;
    else if (pt_present(p2m->format, *slot))
        *mfn = p2m_entry_mfn(p2m->format, *slot);
    else
        result = populate(p2m, gfn, slot, level, mfn);
    lock_release(&p2m->lock);
    return result;
}

static enum p2m_give give(struct p2m *p2m, gfn_t gfn, struct flush_batch *batch)
{
    unsigned level;
    uint64_t *slot = find(p2m, gfn, &level);
    const enum p2m_type was = slot ? p2m_entry_type(p2m->format, *slot) : P2M_HOLE;

    if (was == P2M_HOLE) return P2M_GIVE_HOLE;
    if (was == P2M_BALLOONED) return P2M_GIVE_ALREADY;
    slot = narrow(p2m, gfn, slot, level);
    const uint64_t old = pt_exchange(slot, pt_absent(p2m->format, P2M_BALLOONED));
    if (was == P2M_PRESENT) p2m_park(p2m, old, batch);
    p2m->ballooned_pages++;
    return P2M_GIVE_OK;
}

enum p2m_give p2m_balloon(struct p2m *p2m, gfn_t gfn, struct flush_batch *batch)
{
    if (batch->p2m != p2m) panic("a flush batch of VM slot %u for VM slot %u", batch->p2m->owner, p2m->owner);
    lock_acquire(&p2m->lock);
    const enum p2m_give result = give(p2m, gfn, batch);
    lock_release(&p2m->lock);
    return result;
}

bool p2m_unballoon(struct p2m *p2m, gfn_t gfn)
{
    unsigned level;

    lock_acquire(&p2m->lock);
    uint64_t *slot = find(p2m, gfn, &level);
    const bool was = slot && p2m_entry_type(p2m->format, *slot) == P2M_BALLOONED;
    if (was) {
        pt_store(narrow(p2m, gfn, slot, level), pt_absent(p2m->format, P2M_UNTOUCHED));
        p2m->ballooned_pages--;
    }
    lock_release(&p2m->lock);
    return was;
}
