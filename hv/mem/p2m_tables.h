/* SPDX-License-Identifier: MIT
 *
 * What the parts of the p2m share: entries, and the tables behind them. Its lock is held throughout.
 */
#ifndef TITHE_MEM_P2M_TABLES_H
#define TITHE_MEM_P2M_TABLES_H

#include "mem/flush.h"
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
/* `old` was present and has just been replaced: its frame waits in the batch for the flush. */
void p2m_park(struct p2m *p2m, uint64_t old, struct flush_batch *batch);

#endif
