/* SPDX-License-Identifier: MIT
 *
 * Counters by name.
 */
#ifndef TITHE_VM_STATS_H
#define TITHE_VM_STATS_H

#include "tithe/abi.h"
#include "tithe/types.h"

/* Fills name and value of the one at stat->index; false past the last. */
MUST_CHECK bool stats_get(struct tithe_stat *stat);
/* The VM is about to be forgotten; what it counted is not. */
struct vm;
void stats_vm_gone(const struct vm *vm);

#endif
