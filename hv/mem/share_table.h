/* SPDX-License-Identifier: MIT
 *
 * The hash table of shared pages and hints, a chain through the frame table for each bucket, and the counts of shared
 * frames. All with LOCK_SHARE, unless said otherwise.
 */
#ifndef TITHE_MEM_SHARE_TABLE_H
#define TITHE_MEM_SHARE_TABLE_H

#include "mem/frame_table.h"
#include "mem/share.h"

/* A chain ends in its bucket's number, so that an entry finds its bucket, and so the entry before it, without its hash. */
#define CHAIN_END 0x80000000u
/* No longer by a guest's doing: whoever knows the hash function can make pages that fall into one bucket. */
#define CHAIN_MAX 32u

/* Counts are 16 bits in the frame: COUNT_MORE, and up to COUNT_MAX. With COUNT_MORE the table of large counts has the
 * rest, in pieces of half as much. */
#define COUNT_MORE       0x8000u
#define COUNT_MAX        0x7fffu
#define LARGE_COUNTS_MAX 256u

struct share {
    struct lock lock;
    uint32_t *bucket; /* the chain's first frame, or its end */
    uint32_t bucket_mask;
    uint32_t count_max; /* COUNT_MAX, but in tests */
    uint64_t hash_mask;
    struct share_counts counts;     /* but for frames, entries and zero_entries */
    uint64_t entries, zero_entries; /* atomic, without the lock */
    struct p2m *map[FRAME_OWNERS_MAX + 1];
    uint32_t held[FRAME_OWNERS_MAX + 1]; /* given back without the lock */
    uint32_t large_count;
    struct large_count {
        uint32_t mfn;
        uint32_t pieces;
        uint64_t met; /* the ledger's */
    } large[LARGE_COUNTS_MAX];
};
extern struct share share;

size_t share_table_bytes(mfn_t limit);
/* Nothing is shared, and there are no maps. `at` has share_table_bytes(limit) bytes. Takes no lock. */
void share_table_init(void *at, mfn_t limit);

/* What frame owner and hash seed are to a map's group: its number, or for one alone a number of its own. */
static inline uint8_t share_key(const struct p2m *p2m)
{
    return (uint8_t)(p2m->sharing.group ? FRAME_OWNERS_MAX + p2m->sharing.group : p2m->owner);
}

/* Takes the lock itself. */
void share_register(struct p2m *p2m);

/* Which frame of group `key` may have the same contents as `self`: a shared one, else one that has left a hint; MFN_NONE.
 * *met: self is in the chain, with this hash; *room: the chain may grow. */
mfn_t share_find(uint64_t hash, uint8_t key, bool zero, mfn_t self, bool *met, bool *room);

/* GUEST, with the lock of its map: into the table and out of it. */
void share_hint(mfn_t mfn, uint64_t hash);
void share_unhint(mfn_t mfn);
/* The same, without LOCK_SHARE, for a frame that may have left one. */
static inline void share_drop_hint(mfn_t mfn)
{
    if (!(frame_pool.table[mfn].state & FRAME_HINTED)) return;
    lock_acquire(&share.lock);
    share_unhint(mfn);
    lock_release(&share.lock);
}

/* A guest's frame that nobody can write to, and that has left no hint, becomes SHARED with a count of 1. */
void share_make(mfn_t mfn, uint64_t hash, uint8_t key, bool zero);
/* If its count is 1, it becomes a guest's frame again. */
bool share_unmake(mfn_t mfn, uint16_t owner, gfn_t gfn);
/* One more. False: the table of large counts is full. */
bool share_get(mfn_t mfn);
/* One less, by whoever's TLBs know the frame no longer. If it was the last, the frame is PARKED, in front of *list. */
void share_put(mfn_t mfn, mfn_t *list);
/* How many count. */
uint64_t share_count(mfn_t mfn, struct large_count **large);

#endif
