/* SPDX-License-Identifier: MIT
 *
 * The ledger: walks frame table, free lists and every VM's tables and says whether they agree.
 */
#ifndef TITHE_MEM_LEDGER_H
#define TITHE_MEM_LEDGER_H

#include "mem/p2m.h"
#include "tithe/abi.h"

/* `maps` are all VMs' maps, by any order. The caller has stopped the world (vm/world.h): a frame that moves meanwhile would
 * be met twice or never.
 * Fills *out; out->differences counts disagreements and out->first names the first with frame, VM and gfn. */
void ledger_check(struct p2m *const *maps, size_t map_count, struct tithe_ledger *out);

#endif
