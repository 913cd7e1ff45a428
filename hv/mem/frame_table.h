/* SPDX-License-Identifier: MIT
 *
 * The frame table itself: for frame.c, which changes it, and the ledger, which reads it.
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

#endif
