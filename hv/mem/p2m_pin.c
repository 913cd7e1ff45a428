/* SPDX-License-Identifier: MIT
 *
 * Pages that a device works on by itself. Their entries say so, which costs whoever takes frames away nothing: all of them look at
 * the entry anyway. How often a frame is pinned is in its `check`, which only frames in the hash table of sharing need.
 */
#include "lib/log.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/share_table.h"

#define PINS_MAX UINT16_MAX

/* With the lock held. */
static void pin(struct p2m *p2m, gfn_t gfn, mfn_t mfn)
{
    struct frame *f = &frame_pool.table[mfn];
    unsigned level;
    uint64_t *slot = p2m_find(p2m, gfn, &level);

    if (frame_state_of(f) == FRAME_GUEST) {
        share_drop_hint(mfn); /* its contents will change without a trace in the entry */
        frame_set_state(f, FRAME_PINNED | (f->state & FRAME_BROKEN));
        f->check = 0;
        p2m->pinned_pages++;
    }
    if (frame_state_of(f) != FRAME_PINNED || f->check == PINS_MAX) frame_wrong_state("pin", mfn);
    f->check++;
    /* Devices set no accessed bits, and the page is in use. */
    __atomic_fetch_or(slot, PT_PINNED | p2m->format->accessed, __ATOMIC_ACQ_REL);
}

enum p2m_touch p2m_pin(struct p2m *p2m, gfn_t gfn, bool write, mfn_t *mfn)
{
    enum p2m_touch result = P2M_TOUCH_OK;
    unsigned level;

    lock_acquire(&p2m->lock);
    const uint64_t *slot = p2m_find(p2m, gfn, &level);
    *mfn = MFN_NONE;
    if (write || !slot || p2m_entry_type(p2m->format, pt_load(slot)) != P2M_SHARED) {
        result = p2m_touch_held(p2m, gfn, true, mfn);
        if (result == P2M_TOUCH_OK) pin(p2m, gfn, *mfn);
    }
    lock_release(&p2m->lock);
    return result;
}

void p2m_unpin(struct p2m *p2m, gfn_t gfn, mfn_t mfn)
{
    struct frame *f = &frame_pool.table[mfn];
    unsigned level;

    if (frame_state_of(f) == FRAME_CORE) { /* the map has been forgotten, by this CPU */
        if (--f->check == 0) frame_free(mfn);
        return;
    }
    lock_acquire(&p2m->lock);
    if (frame_state_of(f) != FRAME_PINNED || f->owner != p2m->owner || f->gfn != gfn)
        frame_wrong_state("unpin", mfn);
    if (--f->check == 0) {
        uint64_t *slot = p2m_find(p2m, gfn, &level);
        if (p2m_entry_type(p2m->format, pt_load(slot)) == P2M_SAMPLED) (void)sample_restore(p2m, slot, true);
        const uint64_t old = __atomic_fetch_and(slot, ~PT_PINNED, __ATOMIC_ACQ_REL);
        if (!(old & PT_PINNED) || p2m_entry_mfn(p2m->format, old) != mfn)
            panic("VM slot %u, gfn 0x%lx: pinned, but entry 0x%lx is not", p2m->owner, gfn, old);
        frame_set_state(f, FRAME_GUEST | (f->state & FRAME_BROKEN));
        p2m->pinned_pages--;
    }
    lock_release(&p2m->lock);
}
