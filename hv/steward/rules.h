/* SPDX-License-Identifier: MIT
 *
 * The rules for plans (enum tithe_refusal), as the core has them. The steward
 * uses them to say what would become of a plan; the simulated machine, to
 * refuse one.
 */
#ifndef STEWARD_RULES_H
#define STEWARD_RULES_H

#include "tithe/abi.h"

/* Judges every action against the snapshot and fills in the result. Returns how
 * many are refused; 0 means that the plan may be applied. */
uint32_t rules_judge(const struct tithe_snapshot *s, const struct tithe_action *actions, uint64_t count,
                     struct tithe_plan_result *result);

/* The VM, or NULL when there is none of that id. */
const struct tithe_vm_snapshot *rules_vm(const struct tithe_snapshot *s, uint32_t id);

#endif
