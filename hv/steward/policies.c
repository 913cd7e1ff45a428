/* SPDX-License-Identifier: MIT
 *
 * The policy in charge: how it comes to be, runs, and goes.
 */
#include "policies_priv.h"

#include <stdio.h>
#include <string.h>
#include "names.h"
#include "rules.h"
#include "text.h"

struct tithe_mgmt policy_mgmt;
const struct policy_by policy_own_doing;

int64_t policy_ask(struct policies *p, uint32_t op, struct policy_by by)
{
    policy_mgmt.op = op;
    policy_mgmt.session = by.session;
    policy_mgmt.request = by.id;
    policy_mgmt.repeated = 0;
    policy_mgmt.reason[0] = 0;
    return p->machine->mgmt(&policy_mgmt);
}

void policy_log(void *context, const char *name, const char *line)
{
    (void)context;
    fprintf(stderr, "policy %s: %s\n", name, line);
}

/* ---- Coming into charge ------------------------------------------------- */

void policy_take_charge(struct policies *p, struct script *s, bool trial)
{
    script_free(p->active);
    p->active = s;
    s->candidate = false;
    s->print = policy_log;
    s->print_context = NULL;
    p->trial = trial;
    p->trial_left = trial ? s->trial_ticks : 0;
    s->counted = trial;
    p->errors_in_row = 0;
}

/* Loads whatever the core says is active. */
bool policy_load_active(struct policies *p, char why[SCRIPT_WHY_MAX])
{
    char name[TITHE_NAME_MAX];
    const char *source;
    policy_saved_read(p);
    int64_t bytes = policies_read_slot(p, "active", name, &source);
    bool trial = bytes > 0 && policy_mgmt.u.policy.trial != 0;
    bool has_killed = bytes > 0 && policy_mgmt.u.policy.failed != 0;
    if (bytes <= 0) {
        snprintf(why, SCRIPT_WHY_MAX, "there is no active policy");
        return false;
    }
    struct script *s = script_load(p->machine, name, source, (size_t)bytes, policy_log, NULL, why);
    if (s == NULL) return false;
    if (!policy_saved_inherit(p, s)) policy_log(NULL, name, s->why);
    policy_take_charge(p, s, trial);
    if (has_killed) { /* after so many good ticks its deaths are forgiven */
        p->trial_left = s->trial_ticks;
        s->counted = true;
    }
    return true;
}

bool policy_load_first(struct policies *p, char why[SCRIPT_WHY_MAX])
{
    const char *source;
    int64_t bytes = policies_read_file(p, POLICY_FIRST, &source);
    if (bytes <= 0) {
        snprintf(why, SCRIPT_WHY_MAX, "policy/%s.lua is not in the module archive", POLICY_FIRST);
        return false;
    }
    struct script *s = script_load(p->machine, POLICY_FIRST, source, (size_t)bytes, policy_log, NULL, why);
    if (s == NULL) return false;
    if (policies_stage(p, POLICY_FIRST, source, (size_t)bytes) == 0) {
        memset(&policy_mgmt.u.policy, 0, sizeof policy_mgmt.u.policy);
        text_copy(policy_mgmt.u.policy.name, sizeof policy_mgmt.u.policy.name, POLICY_FIRST);
        if (policy_ask(p, TITHE_OP_POLICY_ACTIVATE, policy_own_doing) == 0)
            policy_ask(p, TITHE_OP_POLICY_CONFIRM, policy_own_doing);
    }
    policy_take_charge(p, s, false);
    return true;
}

int64_t policy_core_rollback(struct policies *p, const char *why, struct policy_by by)
{
    memset(&policy_mgmt.u.policy, 0, sizeof policy_mgmt.u.policy);
    text_copy(policy_mgmt.u.policy.reason, sizeof policy_mgmt.u.policy.reason, why);
    return policy_ask(p, TITHE_OP_POLICY_ROLLBACK, by);
}

void policies_start(struct policies *p, const struct machine *machine)
{
    char why[SCRIPT_WHY_MAX];
    memset(p, 0, sizeof *p);
    p->machine = machine;
    if (policy_load_active(p, why)) return;
    /* There is none at the first start of all; otherwise it is one that no longer loads. */
    if (policy_core_rollback(p, why, policy_own_doing) == 0 && policy_load_active(p, why)) return;
    if (!policy_load_first(p, why)) {
        text_copy(p->last_error, sizeof p->last_error, why);
        fprintf(stderr,
                "no policy is in charge: %s. Targets stay as they are; load one with 'tithe policy load'.\n",
                why);
    }
}

/* ---- In charge ---------------------------------------------------------- */

/* The active policy gives way to the previous one, or to the first. */
static void depose(struct policies *p, const char *why)
{
    char other[SCRIPT_WHY_MAX];
    fprintf(stderr, "policy %s: rolled back: %s\n", p->active->name, why);
    if (policy_core_rollback(p, why, policy_own_doing) == 0 && policy_load_active(p, other)) return;
    if (strcmp(p->active->name, POLICY_FIRST) != 0) policy_load_first(p, other);
    p->errors_in_row = 0;
}

static void failed(struct policies *p, const char *why)
{
    if (strcmp(p->last_error, why) != 0) fprintf(stderr, "policy %s: no plan: %s\n", p->active->name, why);
    text_copy(p->last_error, sizeof p->last_error, why);
    p->errors++;
    p->errors_in_row++;
    if (p->trial || p->errors_in_row >= p->active->error_limit) depose(p, p->last_error);
}

/* Hands the plan to the core. A plan that broke no rule of the snapshot it was made
 * for, and was refused since a VM ended meanwhile, is nobody's fault. */
static bool apply(struct policies *p, const char *function)
{
    const struct plan *plan = &p->plan;
    if (plan->count == 0) return true;
    struct tithe_plan_result judged;
    uint32_t at_fault = rules_judge(p->machine->snapshot, plan->actions, plan->count, &judged);
    int64_t error = p->machine->plan(plan->actions, plan->count, &p->result);
    if (at_fault == 0 || error == 0) return true;
    const struct tithe_action *a = &plan->actions[judged.first];
    int line = strcmp(function, "tick") == 0 ? p->active->tick_line : p->active->event_line;
    char why[SCRIPT_WHY_MAX];
    snprintf(why, sizeof why, "%s.lua:%d: %s: the plan was refused: action %u (%s, VM %u, %llu pages): %s%s",
             p->active->name, line, function, judged.first + 1, name_of_verb(a->verb), a->vm,
             (unsigned long long)a->pages, name_of_refusal(judged.why[judged.first]),
             at_fault > 1 ? ", and others" : "");
    failed(p, why);
    return false;
}

void policies_tick(struct policies *p)
{
    if (p->active == NULL) return;
    uint64_t now_ns = p->machine->snapshot->now_ns;
    uint64_t since_ns = p->last_tick_ns != 0 ? now_ns - p->last_tick_ns : p->machine->snapshot->tick_ns;
    p->last_tick_ns = now_ns;
    p->ticks++;
    bool ran = script_tick(p->active, (double)since_ns / NS_PER_S, &p->plan);
    if (p->active->counted) p->tick_instructions = p->active->spent;
    if (!ran) {
        failed(p, p->active->why);
        return;
    }
    if (!apply(p, "tick")) return;
    p->errors_in_row = 0;
    if (p->trial_left > 0 && --p->trial_left == 0) {
        p->trial = p->active->counted = false;
        policy_ask(p, TITHE_OP_POLICY_CONFIRM, policy_own_doing);
    }
    if (p->active->has_save) policy_saved_write(p, policy_own_doing);
}

void policies_event(struct policies *p, const char *kind, const struct tithe_event *e)
{
    if (p->active == NULL) return;
    if (!script_event(p->active, kind, e, &p->plan)) {
        failed(p, p->active->why);
        return;
    }
    apply(p, "event");
}
