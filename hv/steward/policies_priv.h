/* SPDX-License-Identifier: MIT
 *
 * Between the files that make up policies.h.
 */
#ifndef STEWARD_POLICIES_PRIV_H
#define STEWARD_POLICIES_PRIV_H

#include "policies.h"

#define NS_PER_S 1e9

/* The one management record of these files; too large for the stack. */
extern struct tithe_mgmt policy_mgmt;

/* Makes a management call with policy_mgmt, whose union is filled in. 0 or minus an errno. */
int64_t policy_ask(struct policies *p, uint32_t op, struct policy_by by);
extern const struct policy_by policy_own_doing;

/* Writes one line of a policy's to the log. */
void policy_log(void *context, const char *name, const char *line);

/* Saved state (policy_saved.c). */
void policy_saved_read(struct policies *p);
int64_t policy_saved_write(struct policies *p, struct policy_by by);
/* Gives a script the parameters and the state last saved, as far as names match. False when
 * its restore() failed: the reason is in to->why, and it starts without. */
bool policy_saved_inherit(const struct policies *p, struct script *to);

/* Who is in charge (policies.c). */
void policy_take_charge(struct policies *p, struct script *s, bool trial);
bool policy_load_active(struct policies *p, char why[SCRIPT_WHY_MAX]);
bool policy_load_first(struct policies *p, char why[SCRIPT_WHY_MAX]);
int64_t policy_core_rollback(struct policies *p, const char *why, struct policy_by by);

#endif
