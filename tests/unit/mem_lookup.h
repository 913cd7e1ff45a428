/* SPDX-License-Identifier: MIT
 *
 * What an entry says, for tests: the core lets no frame's number out of a map's lock.
 */
#ifndef TITHE_TESTS_MEM_LOOKUP_H
#define TITHE_TESTS_MEM_LOOKUP_H

#include "mem/p2m_tables.h"

/* The type of a gfn's entry, and its frame when present. */
static inline enum p2m_type p2m_lookup(struct p2m *p2m, gfn_t gfn, mfn_t *mfn)
{
    enum p2m_type type = P2M_HOLE;
    unsigned level;

    lock_acquire(&p2m->lock);
    const uint64_t *slot = p2m_find(p2m, gfn, &level);
    if (slot) type = p2m_entry_type(p2m->format, *slot);
    if (slot && pt_present(p2m->format, *slot)) *mfn = p2m_entry_mfn(p2m->format, *slot);
    lock_release(&p2m->lock);
    return type;
}

#endif
