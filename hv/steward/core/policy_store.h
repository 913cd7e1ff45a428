/* SPDX-License-Identifier: MIT
 *
 * The sources of the active, the previous and the staged policy, and what the active one saved: kept in the
 * core, so that a death of the steward loses nothing.
 */
#ifndef TITHE_STEWARD_CORE_POLICY_STORE_H
#define TITHE_STEWARD_CORE_POLICY_STORE_H

#include "tithe/abi.h"
#include "tithe/types.h"

/* False: no memory. */
MUST_CHECK bool policy_store_init(void);

/* The operations of enum tithe_op with these names: 0, or a TITHE_E number with a reason of TITHE_REASON_MAX
 * bytes. */
int policy_stage(const struct tithe_io *io, char *reason);
int policy_activate(struct tithe_policy_info *info, char *reason);
int policy_confirm(char *reason);
int policy_rollback(const struct tithe_policy_info *info, char *reason);
int policy_read(struct tithe_io *io, char *reason);
void policy_info(struct tithe_policy_info *info);
int policy_save(const struct tithe_io *io, char *reason);
void policy_saved(struct tithe_io *io);

/* The steward died under the active policy: on trial, or for the third time, it is rolled back. */
void policy_store_blame(const char *why, const char *where);

#endif
