/* SPDX-License-Identifier: MIT
 *
 * Frames by colour. Only who is coloured pays for it: takes the pool's lock for every frame, and sorts free frames by colour until one
 * of its own turns up. What is freed is not sorted again till somebody looks for it, so each frame is sorted at most once for
 * each time it was free.
 */
#include "lib/log.h"
#include "mem/direct.h"
#include "mem/frame_table.h"
#include "mem/page.h"

/* Frames that are sorted under one hold of the lock: others' first touches wait for it. */
#define PIECE 256u

void frames_set_colour_count(uint32_t count)
{
    if (!count || count > FRAME_COLOURS_MAX || (count & (count - 1)) || frame_pool.sorted)
        panic("%u colours of frames", count);
    frame_pool.colours = count;
}

uint32_t frames_colour_count(void)
{
    return frame_pool.colours;
}

void frames_set_colours(uint16_t owner, uint32_t mask)
{
    lock_acquire(&frame_pool.lock);
    __atomic_store_n(&frame_pool.wanted[owner].mask, mask, __ATOMIC_RELAXED);
    lock_release(&frame_pool.lock);
}

void frames_new_owner(uint16_t owner)
{
    lock_acquire(&frame_pool.lock);
    frame_pool.wanted[owner] = (struct frame_wanted){0};
    lock_release(&frame_pool.lock);
}

uint32_t frames_colours(uint16_t owner)
{
    return __atomic_load_n(&frame_pool.wanted[owner].mask, __ATOMIC_RELAXED);
}

struct frame_coloured frames_coloured(uint16_t owner)
{
    lock_acquire(&frame_pool.lock);
    const struct frame_coloured coloured = frame_pool.wanted[owner].coloured;
    lock_release(&frame_pool.lock);
    return coloured;
}

static void move(mfn_t mfn, bool sort)
{
    struct frame *f = &frame_pool.table[mfn];
    uint32_t *const from = frame_list_of(mfn);

    if (frame_state_of(f) != FRAME_FREE || *from != mfn) frame_wrong_state("sort", mfn);
    *from = f->next;
    if (f->next != FRAME_NO_LINK) frame_pool.table[f->next].prev = FRAME_NO_LINK;
    if (sort)
        frame_list_put(mfn, &frame_pool.colour_head[frame_colour(mfn)], FRAME_FREE | FRAME_SORTED);
    else
        frame_list_push(mfn);
    frame_pool.sorted += sort ? 1 : (uint64_t)-1;
}

void frames_unsort(uint64_t count)
{
    while (frame_pool.sorted && frame_pool.count[FRAME_FREE] - frame_pool.sorted < count) {
        const uint32_t first = frame_pool.colour_head[frame_pool.next_list];
        if (first != FRAME_NO_LINK) move(first, false);
        frame_pool.next_list = (frame_pool.next_list + 1) & (frame_pool.colours - 1);
    }
}

/* Of the sorted frames one whose colour is in `mask`, all of its colours in turn by gfn; MFN_NONE: there is none. */
static mfn_t find_sorted(uint32_t mask, gfn_t gfn)
{
    uint32_t bits = 0;

    for (uint32_t later = mask; later; later &= later - 1) bits++;
    uint32_t left = (uint32_t)gfn % bits;
    for (uint32_t later = mask, i = 0; i < 2; later = mask, i++) {
        for (; later; later &= later - 1, left -= left > 0) {
            const uint32_t first = frame_pool.colour_head[__builtin_ctz(later)];
            if (!left && first != FRAME_NO_LINK) return first;
        }
    }
    return MFN_NONE;
}

/* With the pool's lock, which is let go now and then, but not after the frame was found. */
static mfn_t find(uint32_t mask, gfn_t gfn)
{
    for (;;) {
        mfn_t mfn = find_sorted(mask, gfn);
        if (mfn != MFN_NONE || frame_pool.free_head == FRAME_NO_LINK) return mfn;
        for (unsigned i = 0; i < PIECE && frame_pool.free_head != FRAME_NO_LINK; i++) {
            mfn = frame_pool.free_head;
            move(mfn, true);
            if (mask >> frame_colour(mfn) & 1) return mfn;
        }
        lock_release(&frame_pool.lock);
        lock_acquire(&frame_pool.lock);
    }
}

mfn_t frame_take_coloured(uint16_t owner, gfn_t gfn, bool strict)
{
    lock_acquire(&frame_pool.lock);
    const uint32_t mask = frame_pool.wanted[owner].mask;
    if (!mask) panic("a coloured frame for owner %u, who has no colour", owner);
    mfn_t mfn = find(mask, gfn);
    if (mfn == MFN_NONE || !frames_spare(1)) { /* what there is may be in stocks */
        frames_gather();
        mfn = find(mask, gfn);
    }
    if (!frames_spare(1)) {
        mfn = MFN_NONE;
    } else if (mfn == MFN_NONE && !strict) {
        frames_unsort(1);
        mfn = frame_pool.free_head;
    }
    if (mfn != MFN_NONE) frame_list_take(mfn, FRAME_GUEST, owner, gfn);
    lock_release(&frame_pool.lock);
    return mfn;
}

mfn_t frame_alloc_recoloured(mfn_t from, uint16_t owner, gfn_t gfn)
{
    const mfn_t mfn = frame_take_coloured(owner, gfn, true);

    if (mfn != MFN_NONE) page_copy(mfn_to_virt(mfn), mfn_to_virt(from));
    return mfn;
}
