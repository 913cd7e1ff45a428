/* SPDX-License-Identifier: MIT
 *
 * Checking, loading, rolling back and setting: what operators do to policies.
 */
#include <stdio.h>
#include <string.h>
#include "policies_priv.h"
#include "rules.h"
#include "text.h"

static void collect(void *context, const char *name, const char *line)
{
    struct policy_check *check = context;
    (void)name;
    if (check->print_count > SCRIPT_PRINTS_MAX) return;
    text_copy(check->prints[check->print_count++], SCRIPT_PRINT_BYTES, line);
}

bool policies_attempt(struct policies *p, struct policy_by by)
{
    if (p->attempt_fatal && p->attempt_session == by.session && p->attempt_id == by.id) return true;
    p->attempt_fatal = false;
    p->attempt_session = by.session;
    p->attempt_id = by.id;
    policy_saved_write(p, policy_own_doing);
    return false;
}

void policies_check(struct policies *p, const char *name, const char *source, size_t source_bytes,
                    struct policy_by by, struct policy_check *check)
{
    memset(check, 0, sizeof *check);
    if (policies_attempt(p, by)) {
        text_copy(check->why, sizeof check->why, p->attempt_reason);
        return;
    }
    check->candidate = script_load(p->machine, name, source, source_bytes, collect, check, check->why);
    if (check->candidate != NULL) {
        struct script *c = check->candidate;
        check->ran = policy_saved_inherit(p, c) &&
                     script_tick(c, (double)p->machine->snapshot->tick_ns / NS_PER_S, &check->plan);
        if (!check->ran) memcpy(check->why, c->why, sizeof check->why);
        script_walk(c);
        rules_judge(p->machine->snapshot, check->plan.actions, check->plan.count, &check->result);
    }
}

void policies_check_done(struct policies *p, struct policy_check *check)
{
    script_free(check->candidate); /* which may be fatal too, if it has damaged the heap */
    check->candidate = NULL;
    if (p->attempt_fatal) return;
    p->attempt_session = p->attempt_id = 0;
    policy_saved_write(p, policy_own_doing);
}

int64_t policies_activate(struct policies *p, struct policy_check *check, struct policy_by by,
                          char reason[TITHE_REASON_MAX])
{
    memset(&policy_mgmt.u.policy, 0, sizeof policy_mgmt.u.policy);
    text_copy(policy_mgmt.u.policy.name, sizeof policy_mgmt.u.policy.name, check->candidate->name);
    int64_t error = policy_ask(p, TITHE_OP_POLICY_ACTIVATE, by);
    if (error < 0) {
        memcpy(reason, policy_mgmt.reason, TITHE_REASON_MAX);
        return error;
    }
    policy_take_charge(p, check->candidate, true);
    check->candidate = NULL;
    p->last_error[0] = 0;
    p->attempt_session = p->attempt_id = 0;
    p->saved_bytes = 0; /* the core keeps this beside the source, and this one has none yet */
    policy_saved_write(p, policy_own_doing);
    return 0;
}

int64_t policies_rollback(struct policies *p, const char *why, struct policy_by by,
                          char reason[TITHE_REASON_MAX])
{
    char other[SCRIPT_WHY_MAX];
    int64_t error = policy_core_rollback(p, why, by);
    memcpy(reason, policy_mgmt.reason, TITHE_REASON_MAX);
    if (error < 0) return error;
    if (policy_mgmt.repeated == 0 && !policy_load_active(p, other)) policy_load_first(p, other);
    return 0;
}

bool policies_set(struct policies *p, const char *name, const cbor_item_t *value, struct policy_by by,
                  int64_t *error)
{
    *error = 0;
    if (!script_param_set(p->active, name, value)) return false;
    *error = policy_saved_write(p, by);
    if (*error == 0) return true;
    /* A stale request: the core kept the newer state, which is what goes back in. */
    policy_saved_inherit(p, p->active);
    return false;
}
