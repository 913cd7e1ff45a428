/* SPDX-License-Identifier: MIT
 *
 * Slots of the swap partition and requests to its disk. A slot's record is changed under the lock of its owner's map, or by the
 * boot CPU once nobody's entry names it; which slots and requests are free, under the swap lock.
 */
#ifndef TITHE_MEM_SWAP_TABLE_H
#define TITHE_MEM_SWAP_TABLE_H

#include "drv/disk.h"
#include "lib/lock.h"
#include "mem/swap.h"

/* Requests that write, or read ahead, move a cluster; those that somebody waits for a page, so that he does not wait for
 * others' too. */
#define SWAP_CLUSTERS 4u
#define SWAP_SINGLES  16u
#define SWAP_REQUESTS (SWAP_CLUSTERS + SWAP_SINGLES)

enum swap_state {
    SLOT_FREE = 0,
    SLOT_STORED,
    SLOT_OUT,     /* being written; the page's frame is in the request */
    SLOT_IN,      /* being read; the page's new frame is in the request */
    SLOT_EVICTED, /* being written from the store, where the page's entry leads till that is done */
    SLOT_DROPPED, /* nobody's any more; free when its request ends */
    SLOT_BAD,
};

struct swap_slot {
    uint64_t hash;
    uint64_t gfn : 36, owner : 8, state : 3, request : 6, page : 5, marked : 1;
    uint64_t origin : 1; /* STORED, IN: not in the slot, but in a block of the guest's disk (mem/origin.h) */
};
_Static_assert(sizeof(struct swap_slot) == 16, "a slot costs 16 bytes");
_Static_assert(SWAP_REQUESTS <= 64 && SWAP_CLUSTER <= 32, "the fields of a slot hold them");

struct swap_request {
    struct disk_request disk;                   /* first: it is found by it */
    struct disk_segment segments[SWAP_CLUSTER]; /* the buffers */
    uint32_t slot[SWAP_CLUSTER];
    mfn_t frame[SWAP_CLUSTER]; /* the pages' own, MFN_NONE once they have no more to do with it */
    uint32_t room, count;
    bool busy, refused;
    bool needed; /* a guest waits for it */
    bool origin; /* the page is in a block of the guest's disk */
    uint16_t owner;
    struct p2m *p2m; /* NULL: gone */
};

struct swap {
    struct lock lock;
    struct swap_slot *slots;
    uint64_t *used; /* a bit each */
    uint64_t first_sector, free, reserved, bad, errors, corrupt, completions, random;
    uint64_t ticks[2]; /* by enum disk_op; atomic */
    uint32_t disk, count, cursor;
    bool dead; /* no more writes */
    bool starved, refused;
    struct swap_request request[SWAP_REQUESTS];
};
extern struct swap swap;

/* Takes the next free run of at most `want` slots. Returns its length, 0 when none is free. */
uint32_t swap_slots_take(uint32_t want, uint32_t *first);
/* Free again, or, `bad`, never to be used again. */
void swap_slot_release(uint32_t slot, bool bad);

/* NULL: none is free. `needed`: by a guest, which waits for swap_came then. */
struct swap_request *swap_request_get(struct p2m *p2m, enum disk_op op, bool needed);
void swap_request_put(struct swap_request *r);
/* The slot's page, and `frame`, are with this request from now on. */
void swap_request_add(struct swap_request *r, uint32_t slot, gfn_t gfn, enum swap_state state, mfn_t frame);
/* Its slots lie one after the other. disk.done follows, even if the disk refuses it. */
void swap_request_submit(struct swap_request *r);
/* disk.done of every request; boot CPU: mem/swap.c. */
void swap_request_ended(struct disk_request *disk);

#endif
