/* SPDX-License-Identifier: MIT
 *
 * A plan is checked whole, and applied whole or not at all.
 */
#ifndef TITHE_VM_PLAN_H
#define TITHE_VM_PLAN_H

#include "tithe/abi.h"
#include "tithe/types.h"

/* True: every action was legal and has been carried out. False: none has, and *result says which are at
 * fault. */
bool plan_apply(const struct tithe_action *actions, uint64_t count, struct tithe_plan_result *result);
uint64_t plans_applied(void);
uint64_t plans_refused(void);

#endif
