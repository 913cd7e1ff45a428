/* SPDX-License-Identifier: MIT
 *
 * Pages move to other frames while their guest runs:
 *
 *   begin    a frame is found and the page write-protected
 *   flush    now nobody can write without a fault, which takes the protection off and so ends the move
 *   copy     what is still protected is copied, and its entry leads to the copy, read-only still: who wrote there could read the
 *            old frame through another CPU's TLB otherwise (mem/p2m.c, touch_readonly)
 *   flush    now nobody knows the old frame, and it is freed
 *   end      the copy becomes writable, unless a write has seen to that
 */
#include "lib/log.h"
#include "mem/p2m_tables.h"
#include "mem/page.h"
#include "mem/share_table.h"

/* One page on its way. */
struct move {
    gfn_t gfn;
    mfn_t to;
    uint32_t stamp;
    uint32_t pass; /* p2m->colouring.pass when the frame was taken */
};

static bool is_within(mfn_t mfn, mfn_t from, mfn_t to)
{
    return mfn >= from && mfn < to;
}

/* The entry of a page that can move just now. */
static uint64_t *find_movable(struct p2m *p2m, gfn_t gfn)
{
    unsigned level;
    uint64_t *slot = p2m_find(p2m, gfn, &level);

    return slot && p2m_is_settled(p2m->format, pt_load(slot)) ? slot : NULL;
}

static enum p2m_move begin(struct p2m *p2m, struct move *m, mfn_t from, mfn_t to)
{
    uint64_t *slot = find_movable(p2m, m->gfn);

    if (!slot) return P2M_MOVE_BUSY;
    if (is_within(p2m_entry_mfn(p2m->format, pt_load(slot)), from, to)) return P2M_MOVE_THERE;
    m->pass = p2m->colouring.pass;
    m->to = frame_alloc_within(FRAME_GUEST, p2m->owner, m->gfn, from, to);
    if (m->to == MFN_NONE) return P2M_MOVE_NO_FRAME;
    share_drop_hint(p2m_entry_mfn(p2m->format, pt_load(slot))); /* which is where the stamp goes */
    m->stamp = p2m_protect(p2m, slot);
    return P2M_MOVE_DONE;
}

/* False: somebody has written to the page, or done something else with it, and the new frame goes. */
static bool copy(struct p2m *p2m, struct move *m, struct flush_batch *batch)
{
    struct frame *table = frame_pool.table;
    unsigned level;
    uint64_t *slot = p2m_find(p2m, m->gfn, &level);
    const uint64_t entry = slot ? pt_load(slot) : 0;
    const bool moves = p2m_is_protected(p2m, entry, m->stamp);

    if (moves) {
        const mfn_t old = p2m_entry_mfn(p2m->format, entry);
        page_copy(mfn_to_virt(m->to), mfn_to_virt(old));
        m->stamp =
            p2m_map_copy(p2m, slot, m->to, table[old].state & FRAME_BROKEN, entry & p2m->format->accessed);
        frame_set_state(&table[old], table[old].state & ~FRAME_BROKEN);
        /* The pass may have come by before the frame did. */
        if (m->pass != p2m->colouring.pass) p2m_met_stray(p2m, m->to);
        p2m_park(p2m, entry, batch);
    } else {
        frame_park(m->to, p2m->owner, &batch->parked);
        batch->count++;
    }
    (void)p2m_parked(batch);
    return moves;
}

void p2m_move(struct p2m *p2m, const gfn_t *gfns, uint32_t count, mfn_t from, mfn_t to,
              enum p2m_move *outcome)
{
    struct move move[P2M_MOVE_MAX];
    bool frames = true;
    FLUSH_BATCH(batch, p2m);

    if (count > P2M_MOVE_MAX) panic("%u pages to move", count);
    /* Guests wait for the lock: it is let go after each page. */
    for (uint32_t i = 0; i < count; i++) {
        move[i].gfn = gfns[i];
        outcome[i] = P2M_MOVE_NO_FRAME;
        if (!frames) continue;
        lock_acquire(&p2m->lock);
        outcome[i] = begin(p2m, &move[i], from, to);
        lock_release(&p2m->lock);
        frames = outcome[i] != P2M_MOVE_NO_FRAME;
        batch.owed |= outcome[i] == P2M_MOVE_DONE;
    }
    flush_discharge(&batch);
    for (uint32_t i = 0; i < count; i++) {
        if (outcome[i] != P2M_MOVE_DONE) continue;
        lock_acquire(&p2m->lock);
        if (!copy(p2m, &move[i], &batch)) outcome[i] = P2M_MOVE_BUSY;
        lock_release(&p2m->lock);
    }
    flush_discharge(&batch);
    for (uint32_t i = 0; i < count; i++) {
        if (outcome[i] == P2M_MOVE_DONE) p2m_end_copy_of(p2m, move[i].gfn, move[i].stamp);
    }
}

/* With the lock held: whether the page leaves [from, to), or, `cold`, has it in hand to stay till it is looked at again. */
static bool leaves(struct p2m *p2m, gfn_t gfn, mfn_t from, mfn_t to, bool cold, struct flush_batch *batch)
{
    uint64_t *slot = find_movable(p2m, gfn);

    if (!slot || !is_within(p2m_entry_mfn(p2m->format, pt_load(slot)), from, to)) return false;
    return !cold || !p2m_was_accessed(p2m, slot, batch);
}

uint32_t p2m_find_within(struct p2m *p2m, gfn_t *cursor, mfn_t from, mfn_t to, bool cold, gfn_t *gfns,
                         uint32_t most, uint32_t *looked)
{
    uint32_t found = 0;
    FLUSH_BATCH(batch, p2m);

    lock_acquire(&p2m->lock);
    for (*looked = 0; *looked < P2M_FIND_LOOKS && found < most; ++*looked) {
        if (*cursor >= p2m->limit) *cursor = 0;
        if (leaves(p2m, *cursor, from, to, cold, &batch)) gfns[found++] = *cursor;
        ++*cursor;
    }
    lock_release(&p2m->lock);
    flush_discharge(&batch);
    return found;
}
