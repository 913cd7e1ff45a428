/* SPDX-License-Identifier: MIT
 *
 * Entries that map shared frames, and entries that are read-only on the way there and back.
 */
#include "lib/log.h"
#include "mem/p2m_tables.h"
#include "mem/share_table.h"

void p2m_count_shared(struct p2m *p2m, mfn_t mfn, int64_t entries)
{
    p2m->sharing.pages += (uint64_t)entries;
    __atomic_fetch_add(&share.entries, (uint64_t)entries, __ATOMIC_RELAXED);
    if (frame_pool.table[mfn].state & FRAME_ZERO)
        __atomic_fetch_add(&share.zero_entries, (uint64_t)entries, __ATOMIC_RELAXED);
}

/* An entry that maps shared frame `mfn` is about to be replaced. */
static bool unref(struct p2m *p2m, mfn_t mfn, struct flush_batch *batch)
{
    uint32_t i = batch->shared_count;

    if (i && batch->shared[i - 1].mfn == mfn) {
        i--;
    } else {
        if (i == FLUSH_SHARED_MAX) return false;
        batch->shared[batch->shared_count++] = (struct flush_shared){.mfn = (uint32_t)mfn};
    }
    batch->shared[i].entries++;
    batch->owed = true;
    p2m_count_shared(p2m, mfn, -1);
    return true;
}

bool p2m_drop_shared(struct p2m *p2m, uint64_t *slot, enum p2m_type type, struct flush_batch *batch)
{
    if (!unref(p2m, p2m_entry_mfn(p2m->format, pt_load(slot)), batch)) return false;
    pt_store(slot, pt_absent(p2m->format, type));
    p2m->present_pages--;
    return true;
}

static uint32_t stamp(struct p2m *p2m, uint64_t entry)
{
    return frame_pool.table[p2m_entry_mfn(p2m->format, entry)].stamp = ++p2m->stamp;
}

uint32_t p2m_map_copy(struct p2m *p2m, uint64_t *slot, mfn_t mfn, unsigned flags, uint64_t bits)
{
    const uint64_t copy = pt_leaf(p2m->format, mfn << PAGE_SHIFT, 1, PT_READ | PT_EXEC) | bits;

    frame_set_state(&frame_pool.table[mfn], FRAME_GUEST | FRAME_COPIED | flags);
    const uint32_t its = stamp(p2m, copy);
    pt_store(slot, copy);
    return its;
}

void p2m_end_copy_of(struct p2m *p2m, gfn_t gfn, uint32_t stamp)
{
    unsigned level;

    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, gfn, &level);
    if (slot && p2m_is_protected(p2m, pt_load(slot), stamp)) p2m_end_copy(p2m, slot);
    lock_release(&p2m->lock);
}

bool p2m_break(struct p2m *p2m, gfn_t gfn, uint64_t *slot, struct flush_batch *batch)
{
    const mfn_t old = p2m_entry_mfn(p2m->format, pt_load(slot));
    const bool zero = frame_pool.table[old].state & FRAME_ZERO;

    lock_acquire(&share.lock);
    const bool alone = share_unmake(old, p2m->owner, gfn);
    lock_release(&share.lock);
    if (alone) {
        /* The entry is the last that leads there: nobody's TLB has to forget anything. */
        p2m->sharing.pages--;
        p2m_met_stray(p2m, old);
        __atomic_fetch_sub(&share.entries, 1, __ATOMIC_RELAXED);
        if (zero) __atomic_fetch_sub(&share.zero_entries, 1, __ATOMIC_RELAXED);
        __atomic_fetch_xor(slot, PT_SHARED | p2m->format->write, __ATOMIC_ACQ_REL);
    } else {
        const mfn_t mfn =
            zero ? frame_alloc(p2m->page, p2m->owner, gfn) : frame_alloc_copy(old, p2m->owner, gfn);
        if (mfn == MFN_NONE) return false;
        if (!unref(p2m, old, batch)) panic("no room for a broken page in a batch");
        (void)p2m_map_copy(p2m, slot, mfn, FRAME_BROKEN, 0);
    }
    p2m->sharing.breaks++;
    return true;
}

uint32_t p2m_protect(struct p2m *p2m, uint64_t *slot)
{
    __atomic_fetch_and(slot, ~p2m->format->write, __ATOMIC_ACQ_REL);
    return stamp(p2m, pt_load(slot));
}

bool p2m_is_protected(const struct p2m *p2m, uint64_t entry, uint32_t stamp)
{
    return p2m_entry_type(p2m->format, entry) == P2M_PRESENT && !(entry & p2m->format->write) &&
           frame_pool.table[p2m_entry_mfn(p2m->format, entry)].stamp == stamp;
}
