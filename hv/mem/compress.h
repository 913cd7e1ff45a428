/* SPDX-License-Identifier: MIT
 *
 * The compression tier: between memory and swap, pages compressed and kept in memory (mem/store.h). mem/swap.c offers it every page on its
 * way out before it looks for a slot; what comes back too long, or finds no room, goes on. A page that is wanted is expanded at once.
 *
 * A victim is in transit between its leaving the map and the flush after it: its entry says COMPRESSED, and names its own frame. Whoever
 * touches it has it back for the asking.
 */
#ifndef TITHE_MEM_COMPRESS_H
#define TITHE_MEM_COMPRESS_H

#include "mem/p2m.h"

struct flush_batch;

/* The VM's store may have so many frames, 0: it takes no more pages; a page is kept that is at most `percent` of its size when compressed,
 * at most COMPRESS_PERCENT_MAX; 0: none is even tried. What is in the store stays, for swap to take it over if it is more than the limit.
 * Boot CPU. */
#define COMPRESS_PERCENT_MAX 75u
void compress_set_limit(struct p2m *p2m, uint64_t frames, uint32_t percent);
/* As long as it is closed it has no limit but 0. Boot CPU. */
void compress_close(struct p2m *p2m, bool closed);
static inline uint64_t compress_limit(const struct p2m *p2m)
{
    return p2m->store.closed ? 0 : p2m->store.limit;
}
static inline bool compress_is_on(const struct p2m *p2m)
{
    return compress_limit(p2m) && p2m->store.most;
}
static inline bool compress_over_limit(const struct p2m *p2m)
{
    return p2m->store.frames > compress_limit(p2m);
}

/* ---- for the map, its lock held ---- */

/* The page, whose entry says COMPRESSED, is wanted: OK and present, in *mfn, or NO_MEMORY. */
enum p2m_touch compress_touch(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *mfn);
/* The entry `old` of the page has been replaced: its piece, or the frame it had, goes. p2m_parked follows. */
void compress_drop(struct p2m *p2m, gfn_t gfn, uint64_t old, struct flush_batch *batch);

/* ---- for swap, the lock held: ---- */

/* Takes the page, which is present and private, out of the map: it is in transit. A flush is owed. */
void compress_unmap(struct p2m *p2m, uint64_t *entry);
bool compress_in_transit(const struct p2m *p2m, uint64_t entry);
/* A page in transit goes back. */
mfn_t compress_map_again(struct p2m *p2m, uint64_t *entry);
/* After the flush: tries to keep the page; its frame is parked on *parked if it was not needed. False: it is in transit
 * still. Boot CPU. */
MUST_CHECK bool compress_keep(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *parked);
/* Fills `page` with what is behind an entry that names a piece, which stays. */
void compress_expand(struct p2m *p2m, gfn_t gfn, uint64_t entry, void *page);

#endif
