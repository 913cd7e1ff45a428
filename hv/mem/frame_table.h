/* SPDX-License-Identifier: MIT
 *
 * The frame table itself: for frame.c, for flush batches, which park frames in it, and for the ledger.
 */
#ifndef TITHE_MEM_FRAME_TABLE_H
#define TITHE_MEM_FRAME_TABLE_H

#include "lib/lock.h"
#include "mem/frame.h"

#define FRAME_STATES  (FRAME_PARKED + 1)
#define FRAME_NO_LINK UINT32_MAX /* end of a list: frame numbers are below it, that is 16 TiB of RAM */

struct frame {
    uint8_t state;  /* enum frame_state */
    uint8_t marked; /* the ledger's: has been met in its walk */
    uint16_t owner;
    uint32_t unused;
    union {
        gfn_t gfn; /* GUEST: where it is mapped */
        struct {
            uint32_t next; /* FREE, PARKED: a list through the table */
            uint32_t prev; /* FREE */
        };
    };
};
_Static_assert(sizeof(struct frame) == 16, "the frame table is 0.39 % of RAM");

/* One pool for the machine. A per-CPU cache would take whole handfuls from it under the lock, in a state of
 * its own. */
struct frame_pool {
    struct lock lock;
    struct frame *table;
    mfn_t limit;
    uint32_t free_head;
    uint64_t count[FRAME_STATES]; /* count[FRAME_ABSENT] is not kept */
    uint64_t promised;
    uint64_t reserve;
};
extern struct frame_pool frame_pool;

/* Panics: frame `mfn` is not in a state in which one may `act`. */
_Noreturn void frame_wrong_state(const char *act, mfn_t mfn);

_Static_assert((uint32_t)MFN_NONE == FRAME_NO_LINK, "an empty list ends where it begins");

/* FRAME_GUEST of `owner` -> FRAME_PARKED, in front of *list (MFN_NONE: empty). Needs the lock of the owner's
 * map, not that of the frames: so the counts are behind until frames_parked tells how many it were, before
 * the map's lock is let go. */
static inline void frame_park(mfn_t mfn, uint16_t owner, mfn_t *list)
{
    if (mfn >= frame_pool.limit) frame_wrong_state("park", mfn);
    struct frame *f = &frame_pool.table[mfn];
    if (f->state != FRAME_GUEST || f->owner != owner) frame_wrong_state("park", mfn);
    f->state = FRAME_PARKED;
    f->next = (uint32_t)*list;
    *list = mfn;
}
void frames_parked(uint64_t count);
/* The whole list -> free. */
void frames_unpark(mfn_t *list);

#endif
