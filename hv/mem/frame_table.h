/* SPDX-License-Identifier: MIT
 *
 * The frame table itself: for the allocator, for flush batches, which park frames in it, and for the ledger.
 */
#ifndef TITHE_MEM_FRAME_TABLE_H
#define TITHE_MEM_FRAME_TABLE_H

#include "lib/cpu_index.h"
#include "lib/lock.h"
#include "mem/frame.h"

#define FRAME_STATES  (FRAME_STOCKED + 1)
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

/* One pool for the machine. */
struct frame_pool {
    struct lock lock;
    struct frame *table;
    mfn_t limit;
    uint32_t free_head;
    uint32_t stocks;              /* CPUs below it may have a stock */
    uint32_t gathering;           /* calls of frames_gather under way: no stock is filled */
    uint64_t total;               /* frames added */
    uint64_t count[FRAME_STATES]; /* of FREE, CORE, TABLE and, changed without the lock, PARKED */
    uint64_t promised;
    uint64_t reserve;
};
extern struct frame_pool frame_pool;

#define FRAME_HANDFUL 32u

/* A CPU's stock of frames for guests. It is filled only with what the pool can spare above promises and reserve, so
 * whoever takes from it need not ask; and whoever wants of the pool what it cannot spare gathers all stocks first. So either
 * all stocks are empty or promises and reserve lie in the pool untouched: there is a frame for a guest if and only if
 * more are free, wherever, than are promised and reserved. */
struct frame_stock {
    struct lock lock;
    uint32_t count; /* changed with both locks, or down with this one alone */
    uint32_t mfn[FRAME_HANDFUL];
} __attribute__((aligned(64)));
extern struct frame_stock frame_stocks[CPUS_MAX];

static inline uint32_t frame_stock_count(const struct frame_stock *stock)
{
    return __atomic_load_n(&stock->count, __ATOMIC_RELAXED);
}

static inline void frame_stock_set(struct frame_stock *stock, uint32_t count)
{
    __atomic_store_n(&stock->count, count, __ATOMIC_RELAXED);
}

/* A handful for an empty stock of this CPU, with its lock; nothing when the pool cannot spare so many. Returns how many there
 * are. */
uint32_t frame_stock_fill(struct frame_stock *stock);
/* With the pool's lock, which is let go meanwhile: on return all stocks are empty, till it is let go again. */
void frames_gather(void);

/* With the pool's lock: the pool has so many more frames than are promised and reserved. */
static inline bool frames_spare(uint64_t count)
{
    const uint64_t kept = frame_pool.promised + frame_pool.reserve;

    return frame_pool.count[FRAME_FREE] >= kept && frame_pool.count[FRAME_FREE] - kept >= count;
}

/* States are changed under the pool's lock, or by whom the frame belongs to, and read by searches at any time. */
static inline void frame_set_state(struct frame *f, enum frame_state state)
{
    __atomic_store_n(&f->state, (uint8_t)state, __ATOMIC_RELAXED);
}

/* Puts a frame at the head of the free list. With the pool's lock; the caller keeps count. */
static inline void frame_list_push(mfn_t mfn)
{
    struct frame *f = &frame_pool.table[mfn];

    frame_set_state(f, FRAME_FREE);
    f->marked = 0;
    f->owner = FRAME_OWNER_CORE;
    f->next = frame_pool.free_head;
    f->prev = FRAME_NO_LINK;
    if (f->next != FRAME_NO_LINK) frame_pool.table[f->next].prev = (uint32_t)mfn;
    frame_pool.free_head = (uint32_t)mfn;
}

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
    frame_set_state(f, FRAME_PARKED);
    f->next = (uint32_t)*list;
    *list = mfn;
}
static inline void frames_parked(uint64_t count)
{
    __atomic_fetch_add(&frame_pool.count[FRAME_PARKED], count, __ATOMIC_RELAXED);
}
/* The whole list -> free, and into the pool: frees come by the batch, and others may need them more. The pool's lock is held
 * for at most a few hundred frames at a time. */
void frames_unpark(mfn_t *list);

#endif
