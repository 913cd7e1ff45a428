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
    return pt_present(f, entry) ? P2M_PRESENT : (enum p2m_type)pt_type(f, entry);
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

/* The 4 KiB entry of a RAM page found at `slot`. */
static inline uint64_t *p2m_narrow(struct p2m *p2m, gfn_t gfn, uint64_t *slot, unsigned level)
{
    return level == 1 ? slot : p2m_split(p2m, gfn);
}

/* `old` was present and has just been replaced: its frame waits in the batch for the flush. p2m_parked
 * follows before the lock is let go. */
static inline void p2m_park(struct p2m *p2m, uint64_t old, struct flush_batch *batch)
{
    frame_park(p2m_entry_mfn(p2m->format, old), p2m->owner, &batch->parked);
    batch->count++;
}

/* Accounts for what has been parked since the batch held `before` frames. */
static inline void p2m_parked(struct p2m *p2m, struct flush_batch *batch, uint64_t before)
{
    const uint64_t parked = batch->count - before;

    if (!parked) return;
    batch->owed = true;
    p2m->present_pages -= parked;
    frames_parked(parked);
}

#endif
