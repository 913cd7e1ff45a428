/* SPDX-License-Identifier: MIT
 *
 * Where pages came from. The guest's disk traffic passes through Tithe, so it can know which pages still equal a block of the VM's
 * own partition: such a page need not be written to swap, for it can be read back from there.
 *
 * A page is known when a whole aligned 4 KiB block has been read into it, or written from it, and since then nobody has written to
 * either. Writes to the page show in the dirty bit of its entry: it is cleared, and flushed for, before the transfer begins, and the core
 * sets it where it writes itself. PT_ORIGIN in the entry says that its dirty bit has this meaning; an entry that is made anew does not
 * have it, so whoever puts another frame there ends the knowledge without knowing of it. Writes to the block pass through
 * origin_start, which ends what is known of it, and has pages read back first that are kept only there.
 *
 * Knowledge may be lost at any time; what is kept only in its block (P2M_SWAPPED, with a slot of swap whose record says so) may not.
 */
#ifndef TITHE_MEM_ORIGIN_H
#define TITHE_MEM_ORIGIN_H

#include "mem/p2m.h"

struct flush_batch;

#define ORIGIN_BLOCK_SECTORS 8u

/* A request of the VM's disk, from origin_start till origin_end. */
struct origin_io {
    struct origin_io *next;
    uint64_t sector, sectors; /* of the VM's partition */
    bool writes;              /* to the disk */
    bool spoiled; /* what it moves may be neither what was on the disk before it nor what is after it */
};

/* ---- boot CPU, no lock held ---- */

/* From now on it is noted which pages equal blocks of this partition, which nobody else writes to: 8 bytes for each page below
 * the map's limit, and 2 to 4 for finding blocks. Needs dirty bits in entries that the CPU sets. False: no memory; nothing is noted
 * then, and all of what follows does nothing. */
MUST_CHECK bool origin_create(struct p2m *p2m, uint32_t disk, uint64_t first_sector);
/* Whether double paging is avoided from now on. While it is not, nothing new is noted and nothing that is known is made use of, but it ends as
 * ever, so this may change at any time; pages that are kept only in their blocks come back from there. */
void origin_avoid(struct p2m *p2m, bool avoids);
/* When the map has been forgotten. */
void origin_destroy(struct p2m *p2m);

/* ---- for the VM's disk; one call at a time for each VM, with no lock above LOCK_DEVICES held ---- */

/* A request is about to begin: before any page of it is pinned. OK, or a write has to wait, for pages that are kept only in its blocks
 * have to be read back first: nothing has been done then, and it is to be tried again later. */
MUST_CHECK enum p2m_touch origin_start(struct p2m *p2m, struct origin_io *io, bool writes, uint64_t sector,
                                       uint64_t sectors);
/* The page will be overwritten whole by the device: what is in swap or in the store of it need not be brought back. Its contents are gone.
 * This works without origin_create, too. */
void origin_overwrite(struct p2m *p2m, gfn_t gfn);
/* For each page of a request that has just been pinned: the device `fills` it, or else reads from it; `whole`: all of it, from or to
 * an aligned block. True: origin_moved is to be called for the page at the end. The batch must have been discharged before
 * the transfer begins. */
MUST_CHECK bool origin_watch(struct p2m *p2m, gfn_t gfn, bool fills, bool whole, struct flush_batch *batch);
/* The transfer between the page, which is still pinned in this frame, and the block at `sector` has ended well. */
void origin_moved(struct p2m *p2m, const struct origin_io *io, gfn_t gfn, mfn_t mfn, uint64_t sector);
/* The request has ended, or was not begun. */
void origin_end(struct p2m *p2m, struct origin_io *io);

/* ---- for swap and the map, the map's lock held ---- */

/* Whether the page that `entry` maps, or has mapped till it was just taken away, equals its block. */
bool origin_is_clean(const struct p2m *p2m, gfn_t gfn, uint64_t entry);
/* Such a page is kept only there from now on. */
void origin_leave(struct p2m *p2m, gfn_t gfn);
/* Where that is. */
void origin_place(const struct p2m *p2m, gfn_t gfn, uint32_t *disk, uint64_t *sector);
/* It has been read from there. True: it is still known, and its entry is to say PT_ORIGIN. */
MUST_CHECK bool origin_return(struct p2m *p2m, gfn_t gfn);
/* It is not wanted any more. */
void origin_forget(struct p2m *p2m, gfn_t gfn);
/* The core writes to the page at `slot`. */
void origin_written(const struct p2m *p2m, uint64_t *slot);

/* For the ledger: whether this page is kept only in its block; how many are. */
bool origin_is_away(const struct p2m *p2m, gfn_t gfn);
uint64_t origin_away(const struct p2m *p2m);

#endif
