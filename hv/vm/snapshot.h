/* SPDX-License-Identifier: MIT
 *
 * What the steward gets to see.
 */
#ifndef TITHE_VM_SNAPSHOT_H
#define TITHE_VM_SNAPSHOT_H

#include "tithe/abi.h"
#include "tithe/types.h"
#include "x86/user_space.h"

/* `machine`: how it was booted. False: no memory. */
MUST_CHECK bool snapshot_init(const char *machine);
/* Maps it, read-only, at TITHE_SNAPSHOT_ADDR. */
MUST_CHECK bool snapshot_map(struct user_space *space);
/* Fills it anew; returns its generation. */
uint64_t snapshot_refresh(void);
/* When that was. */
uint64_t snapshot_ns(void);

#endif
