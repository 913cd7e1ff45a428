/* SPDX-License-Identifier: MIT
 *
 * The frame table itself: for the allocator, for flush batches, which park frames in it, and for the ledger.
 */
#ifndef TITHE_MEM_FRAME_TABLE_H
#define TITHE_MEM_FRAME_TABLE_H

#include "lib/cpu_index.h"
#include "lib/lock.h"
#include "mem/frame.h"

#define FRAME_STATES  (FRAME_STORE + 1) /* that a frame can be in */
#define FRAME_NO_LINK UINT32_MAX        /* end of a list */
#define FRAMES_MAX    (1ull << 31)      /* 8 TiB of RAM: the other numbers end the chains of the hash table */

/* The state, and with it: */
#define FRAME_STATE  0x0fu
#define FRAME_MARKED 0x10u /* the ledger's: has been met in its walk */
#define FRAME_HINTED 0x20u /* GUEST: is in the hash table. Changed with the map's lock and LOCK_SHARE */
#define FRAME_COPIED 0x40u /* GUEST: sharing was broken; its entry becomes writable after a flush */
#define FRAME_BROKEN 0x80u /* GUEST, PINNED: sharing was broken since the last scan */
#define FRAME_ZERO   0x80u /* SHARED: all zeros */
#define FRAME_SORTED 0x20u /* FREE: in the list of its colour */

struct frame {
    uint8_t state;  /* enum frame_state, and flags */
    uint8_t owner;  /* slot of the VM; SHARED: key of the share group */
    uint16_t check; /* in the hash table: a part of the hash; PINNED: how often */
    union {
        uint32_t gfn;       /* GUEST, PINNED: where it is mapped */
        uint32_t next;      /* FREE, PARKED: a list through the table */
        struct {            /* SHARED */
            uint16_t count; /* of entries that map it: mem/share_table.c */
            uint16_t check2;
        };
    };
    union {
        uint32_t prev;  /* FREE */
        uint32_t link;  /* in the hash table: the next of its chain */
        uint32_t stamp; /* GUEST, its entry not writable: p2m->stamp of then */
    };
};
_Static_assert(sizeof(struct frame) == 12, "with at most one bucket of 4 bytes: 0.39 % of RAM");

/* One pool for the machine. */
struct frame_pool {
    struct lock lock;
    struct frame *table;
    mfn_t limit;
    uint32_t free_head;
    uint32_t stocks;    /* CPUs below it may have a stock */
    uint32_t gathering; /* calls of frames_gather under way: no stock is filled */
    uint64_t total;     /* frames added */
    uint64_t count
        [FRAME_STATES]; /* of FREE, CORE, TABLE and, changed without the lock, PARKED, SHARED and STORE */
    uint64_t promised;
    uint64_t reserve;
    /* Colours. A free frame is in the list of its colour, or behind free_head, where it was put: it is sorted when somebody looks for a
     * colour. */
    uint32_t colours;   /* how many there are */
    uint32_t next_list; /* from which sorted frames are taken for those who want any */
    uint64_t sorted;    /* frames in the lists of colours; part of the free ones */
    uint32_t colour_head[FRAME_COLOURS_MAX];
    struct frame_wanted {
        uint32_t mask;
        struct frame_coloured coloured;
    } wanted[FRAME_OWNERS_MAX + 1];
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
static inline void frame_set_state(struct frame *f, unsigned state)
{
    __atomic_store_n(&f->state, (uint8_t)state, __ATOMIC_RELAXED);
}

static inline unsigned frame_state_of(const struct frame *f)
{
    return f->state & FRAME_STATE;
}

/* Puts a frame at the head of the free list, or of that of its colour. With the pool's lock; the caller keeps count. */
static inline void frame_list_put(mfn_t mfn, uint32_t *head, unsigned state)
{
    struct frame *f = &frame_pool.table[mfn];

    frame_set_state(f, state);
    f->owner = FRAME_OWNER_CORE;
    f->next = *head;
    f->prev = FRAME_NO_LINK;
    if (f->next != FRAME_NO_LINK) frame_pool.table[f->next].prev = (uint32_t)mfn;
    *head = (uint32_t)mfn;
}
static inline void frame_list_push(mfn_t mfn)
{
    frame_list_put(mfn, &frame_pool.free_head, FRAME_FREE);
}

static inline uint32_t frame_colour(mfn_t mfn)
{
    return (uint32_t)mfn & (frame_pool.colours - 1);
}
/* The first of the list that a free frame is in. */
static inline uint32_t *frame_list_of(mfn_t mfn)
{
    return frame_pool.table[mfn].state & FRAME_SORTED ? &frame_pool.colour_head[frame_colour(mfn)]
                                                      : &frame_pool.free_head;
}
/* With the pool's lock: unless so many frames are behind free_head, all are. */
void frames_unsort(uint64_t count);
/* FRAME_COLOURED: the frame is the owner's, but not filled. `strict`: of its colours or none. */
mfn_t frame_take_coloured(uint16_t owner, gfn_t gfn, bool strict);
/* With the pool's lock: takes a free frame for its new use, wherever it is. */
void frame_list_take(mfn_t mfn, enum frame_state state, uint16_t owner, gfn_t gfn);

/* Panics: frame `mfn` is not in a state in which one may `act`. */
_Noreturn void frame_wrong_state(const char *act, mfn_t mfn);

/* Takes a guest's frame out of the hash table before it is parked; panics unless it is `owner`'s. */
void frame_unflag(mfn_t mfn, uint16_t owner);

_Static_assert((uint32_t)MFN_NONE == FRAME_NO_LINK, "an empty list ends where it begins");

/* FRAME_GUEST of `owner` -> FRAME_PARKED, in front of *list (MFN_NONE: empty). Needs the lock of the owner's
 * map, not that of the frames: so the counts are behind until frames_parked tells how many it were, before
 * the map's lock is let go. */
static inline void frame_park(mfn_t mfn, uint16_t owner, mfn_t *list)
{
    if (mfn >= frame_pool.limit) frame_wrong_state("park", mfn);
    struct frame *f = &frame_pool.table[mfn];
    if (f->state != FRAME_GUEST || f->owner != owner) frame_unflag(mfn, owner);
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
