/* SPDX-License-Identifier: MIT
 *
 * What the parts of the p2m share: entries, and the tables behind them. Its lock is held throughout.
 */
#ifndef TITHE_MEM_P2M_TABLES_H
#define TITHE_MEM_P2M_TABLES_H

#include "mem/flush.h"
#include "mem/frame_table.h"
#include "mem/p2m.h"

static inline enum p2m_type p2m_entry_type(const struct pt_format *f, uint64_t entry)
{
    if (!pt_present(f, entry)) return (enum p2m_type)pt_type(f, entry);
    return entry & PT_SHARED ? P2M_SHARED : P2M_PRESENT;
}

/* A swapped page's entry names its slot where a present one has its address, above all frames: with bits 40 to 51 set it is
 * 15 TiB or more, whether a CPU that reads it in spite of "not present" (L1TF) takes it for 44 bits or more. */
#define P2M_SLOTS_MAX (1ull << 28)
#define P2M_NO_FRAME  0x000fff0000000000ull
_Static_assert((P2M_NO_FRAME >> PAGE_SHIFT) > FRAME_NO_LINK, "a slot names no frame");

static inline uint64_t p2m_swapped(const struct pt_format *f, uint32_t slot)
{
    return pt_absent(f, P2M_SWAPPED) | P2M_NO_FRAME | (uint64_t)slot << PAGE_SHIFT;
}

static inline uint32_t p2m_entry_slot(uint64_t entry)
{
    return (uint32_t)(entry >> PAGE_SHIFT & (P2M_SLOTS_MAX - 1));
}

/* A compressed page's entry names its frame in the store by 31 bits, and its place there by a note. With bits 43 to 51 set the
 * address is 8 TiB or more for a CPU of 44 bits or more: above all frames, likewise. */
#define P2M_STORED_AWAY 0x000ff80000000000ull
_Static_assert((P2M_STORED_AWAY >> PAGE_SHIFT) >= FRAMES_MAX, "a place in the store names no frame");
/* The place of one whose frame still is its own: its victim is on its way (mem/compress.h). */
#define P2M_IN_TRANSIT ((1u << PT_NOTE_BITS) - 1)

static inline uint64_t p2m_compressed(const struct pt_format *f, mfn_t mfn, uint32_t place)
{
    return pt_absent(f, P2M_COMPRESSED) | P2M_STORED_AWAY | mfn << PAGE_SHIFT |
           (uint64_t)place << PT_NOTE_SHIFT;
}

static inline mfn_t p2m_store_mfn(uint64_t entry)
{
    return entry >> PAGE_SHIFT & (FRAMES_MAX - 1);
}

static inline uint32_t p2m_store_place(uint64_t entry)
{
    return (uint32_t)((entry & PT_NOTE) >> PT_NOTE_SHIFT);
}

static inline mfn_t p2m_entry_mfn(const struct pt_format *f, uint64_t entry)
{
    return pt_address(f, entry) >> PAGE_SHIFT;
}

/* The walker's view: table pages come out of the map's promise. */
struct pt p2m_tables(struct p2m *p2m);
/* The 4 KiB entry of a RAM page whose entry is wider; never fails. */
uint64_t *p2m_split(struct p2m *p2m, gfn_t gfn);

/* The entry that decides about gfn, and the level it stands at; NULL above all RAM. */
static inline uint64_t *p2m_find(struct p2m *p2m, gfn_t gfn, unsigned *level)
{
    return gfn < p2m->limit ? pt_find(p2m->format, p2m->root, gfn, level) : NULL;
}

/* p2m_touch for who holds the lock, which may be let go meanwhile: the page's frame is *mfn as long as the lock is held. */
MUST_CHECK enum p2m_touch p2m_touch_held(struct p2m *p2m, gfn_t gfn, bool write, mfn_t *mfn);

/* The 4 KiB entry of a RAM page found at `slot`. */
static inline uint64_t *p2m_narrow(struct p2m *p2m, gfn_t gfn, uint64_t *slot, unsigned level)
{
    return level == 1 ? slot : p2m_split(p2m, gfn);
}

/* `old` was present, its frame private, and has just been replaced: the frame waits in the batch for the flush. p2m_parked
 * follows before the lock is let go. */
static inline void p2m_park(struct p2m *p2m, uint64_t old, struct flush_batch *batch)
{
    frame_park(p2m_entry_mfn(p2m->format, old), p2m->owner, &batch->parked);
    batch->count++;
}

/* Accounts for what has been parked since it was last called. Returns how many frames that is. */
static inline uint64_t p2m_parked(struct flush_batch *batch)
{
    const uint64_t parked = batch->count - batch->accounted;

    if (!parked) return 0;
    batch->owed = true;
    batch->accounted = batch->count;
    frames_parked(parked);
    return parked;
}

/* The page got this frame as it was, of whatever colour. */
static inline void p2m_met_stray(struct p2m *p2m, mfn_t mfn)
{
    const uint32_t mask = frames_colours(p2m->owner);

    if (!mask || mask >> frame_colour(mfn) & 1) return;
    p2m->colouring.stray++;
    p2m->colouring.passed++;
}

/* A private page that may be taken from its frame. One that is read-only is being shared or moved, or was just copied: that is not to be
 * disturbed. */
static inline bool p2m_is_settled(const struct pt_format *f, uint64_t entry)
{
    return p2m_entry_type(f, entry) == P2M_PRESENT && entry & f->write && !(entry & PT_PINNED);
}

/* Whether the page, which is present, was accessed since this was last asked. */
static inline bool p2m_was_accessed(struct p2m *p2m, uint64_t *slot, struct flush_batch *batch)
{
    const uint64_t accessed = p2m->format->accessed;

    if (!(pt_load(slot) & accessed)) return false;
    __atomic_fetch_and(slot, ~accessed, __ATOMIC_ACQ_REL);
    batch->owed = true; /* else a CPU that knows the page would not set it again */
    return true;
}

/* ---- sharing: mem/p2m_share.c ---- */

/* So many more entries map shared frame `mfn` than before. */
void p2m_count_shared(struct p2m *p2m, mfn_t mfn, int64_t entries);
/* Puts a non-present entry of `type` in the place of one that maps a shared frame: its part of the frame is
 * given up after the flush. False: the batch has no room, and must be discharged first. */
MUST_CHECK bool p2m_drop_shared(struct p2m *p2m, uint64_t *slot, enum p2m_type type,
                                struct flush_batch *batch);
/* For a write: gives the page at `slot`, which is shared, a frame of its own. The entry is then either writable, or is read-only and
 * must become writable after a flush only (FRAME_COPIED). False: no memory. */
MUST_CHECK bool p2m_break(struct p2m *p2m, gfn_t gfn, uint64_t *slot, struct flush_batch *batch);

/* `slot` leads to frame `mfn` from now on, a copy of what it led to; these flags are the frame's, and these bits the entry's, besides.
 * It is read-only, and becomes writable, by p2m_end_copy, only after a flush (FRAME_COPIED). Returns its stamp. */
uint32_t p2m_map_copy(struct p2m *p2m, uint64_t *slot, mfn_t mfn, unsigned flags, uint64_t bits);
/* Without the lock, after the flush: p2m_end_copy, if the page still is the copy of this stamp. Else a write has seen to it, or something
 * else was done with the page. */
void p2m_end_copy_of(struct p2m *p2m, gfn_t gfn, uint32_t stamp);

/* A private page is not to be written to for now. What the guest's CPUs have cached stays writable till a flush. If
 * p2m_is_protected with the stamp returned after that, nobody has written since. Whoever wants to write takes it off. */
uint32_t p2m_protect(struct p2m *p2m, uint64_t *slot);
bool p2m_is_protected(const struct p2m *p2m, uint64_t entry, uint32_t stamp);
static inline void p2m_unprotect(struct p2m *p2m, uint64_t *slot)
{
    __atomic_fetch_or(slot, p2m->format->write, __ATOMIC_ACQ_REL);
}
static inline void p2m_end_copy(struct p2m *p2m, uint64_t *slot)
{
    struct frame *f = &frame_pool.table[p2m_entry_mfn(p2m->format, pt_load(slot))];

    frame_set_state(f, f->state & ~FRAME_COPIED);
    p2m_unprotect(p2m, slot);
}

#endif
