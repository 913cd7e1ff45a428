/* SPDX-License-Identifier: MIT
 *
 * The frame table: at most 16 bytes for every 4 KiB frame of RAM, the hash table of sharing among them, and the allocator
 * over it.
 *
 * Free frames are in one pool, but for a stock of each CPU, out of which its guests' first touches are served. Stocks are
 * an optimisation that nobody can tell: what is in them counts as free and is found by whoever needs it.
 */
#ifndef TITHE_MEM_FRAME_H
#define TITHE_MEM_FRAME_H

#include "tithe/types.h"

enum frame_state {
    FRAME_ABSENT = 0, /* not RAM, or kept by firmware */
    FRAME_FREE,       /* on the free list of the pool */
    FRAME_CORE,       /* core image, frame table, steward, modules, vCPU state */
    FRAME_TABLE,      /* second-level table page; owner = VM */
    FRAME_GUEST,      /* mapped once in the owner's second-level tables, at `gfn` */
    FRAME_PARKED,     /* unmapped, but a TLB may still know it: free after the flush (mem/flush.h) */
    FRAME_STOCKED,    /* free, in a CPU's stock */
    FRAME_SHARED,     /* mapped read-only by any number of entries (mem/share.h) */
    FRAME_PINNED,     /* as GUEST, and a device works on it (p2m_pin) */
    FRAME_STORE,      /* holds compressed pages of the owner (mem/store.h) */
    FRAME_COLOURED,   /* only asked for: a GUEST of its owner's colours, if any such is free */
};

/* Owner of frames that belong to no VM. Those of a VM belong to its slot (not to its never-reused id). */
#define FRAME_OWNER_CORE 0u
#define FRAME_OWNERS_MAX 128u

/* Turns [table, table + limit) into the frame table; every frame is ABSENT until added. `table`
 * lies in the direct map and has frames_bytes(limit) bytes. Called once. */
size_t frames_bytes(mfn_t limit);
void frames_init(void *table, mfn_t limit);

/* [start, start + count) is RAM: free for use (state FRAME_FREE) or in use (FRAME_CORE). A frame is added
 * once. */
void frames_add(mfn_t start, uint64_t count, enum frame_state state);

/* One zeroed frame, or MFN_NONE. For FRAME_GUEST gfn is the back reference, else 0. Allocations other
 * than FRAME_CORE fail once free frames would fall below the reserve plus what is promised to tables. */
mfn_t frame_alloc(enum frame_state state, uint16_t owner, gfn_t gfn);
/* FRAME_GUEST, or COLOURED if its owner is, with the contents of frame `from`; MFN_NONE: its old ones, which are not for the guest to
 * see. */
mfn_t frame_alloc_copy(mfn_t from, uint16_t owner, gfn_t gfn);
/* One frame of [from, to), or MFN_NONE. FRAME_CORE: zeroed. FRAME_GUEST: its old contents are still there, and not for the guest to
 * see; at most FRAME_LOOKS frames are looked at, and the next call goes on from there. */
#define FRAME_LOOKS 4096u
mfn_t frame_alloc_within(enum frame_state state, uint16_t owner, gfn_t gfn, mfn_t from, mfn_t to);
/* `count` consecutive zeroed FRAME_CORE frames, aligned to `align_frames`; first of them or MFN_NONE. */
mfn_t frame_alloc_run(uint64_t count, uint64_t align_frames);
/* A guest's frame that nobody's entry or TLB leads to becomes FRAME_STORE of its owner. With the lock of its map. */
void frame_to_store(mfn_t mfn, uint16_t owner);
/* Core, table and store frames. A guest's frame goes by a flush batch. */
void frame_free(mfn_t mfn);
void frame_free_run(mfn_t mfn, uint64_t count);
/* A pinned frame of a guest, which no entry maps any more, becomes the core's till its device is done. With the map's lock. */
void frame_keep(mfn_t mfn);

/* Set aside / give back `count` frames for later use as second-level tables; alloc with frame_alloc_promised.
 * frames_promise returns false, and sets nothing aside, when so many are not free above the reserve. */
MUST_CHECK bool frames_promise(uint64_t count);
void frames_unpromise(uint64_t count);
/* Never fails: takes one promised frame as FRAME_TABLE of `owner`. Not zeroed: a table is filled anyway. */
mfn_t frame_alloc_promised(uint16_t owner);

/* ---- colours: mem/frame_colour.c ---- */

/* A frame's colour is its number modulo how many there are, a power of two up to this; 1 unless set, which is done before anybody is
 * coloured. Frames of different colours lie in different sets of the cache. */
#define FRAME_COLOURS_MAX 32u
void frames_set_colour_count(uint32_t count);
uint32_t frames_colour_count(void);
/* Owner `owner` wants FRAME_COLOURED frames of the colours in `mask`, a bit each; 0: any, and then asks for FRAME_GUEST. What it
 * has stays. Under the lock of its map. */
void frames_set_colours(uint16_t owner, uint32_t mask);
uint32_t frames_colours(uint16_t owner);
/* frame_alloc_copy, but MFN_NONE if none of the owner's colours is free. */
mfn_t frame_alloc_recoloured(mfn_t from, uint16_t owner, gfn_t gfn);
/* How many FRAME_COLOURED it was given, ever: of its colours, and of others because none was free. */
struct frame_coloured {
    uint64_t given, off;
};
struct frame_coloured frames_coloured(uint16_t owner);
/* The owner is another from now on: no colours, no counts. */
void frames_new_owner(uint16_t owner);

enum frame_state frame_state(mfn_t mfn);
uint16_t frame_owner(mfn_t mfn);
gfn_t frame_gfn(mfn_t mfn);

struct frame_counts {
    uint64_t total;    /* RAM frames */
    uint64_t free;     /* in the pool and in all stocks */
    uint64_t promised; /* part of free */
    uint64_t core;
    uint64_t table;
    uint64_t guest;
    uint64_t shared; /* part of guest */
    uint64_t store;  /* part of guest */
    uint64_t parked;
    uint64_t reserve; /* part of free: kept back from guests */
};
/* While other CPUs allocate: each number as it was at some time during the call; they add up. */
void frames_counts(struct frame_counts *out);
void frames_set_reserve(uint64_t reserve_pages);
mfn_t frames_limit(void);
/* How often somebody had to wait for the lock of the pool; of a CPU's stock. */
uint64_t frames_contended(void);
uint64_t frame_stock_contended(uint32_t cpu);

#endif
