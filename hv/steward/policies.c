/* SPDX-License-Identifier: MIT */
#include "policies.h"

#include <stdio.h>
#include <string.h>
#include "names.h"
#include "rules.h"
#include "text.h"

#define NS_PER_S 1e9

static struct tithe_mgmt mgmt; /* too large for the stack; one user at a time */
static char source_buffer[TITHE_POLICY_MAX_BYTES + 1];

static int64_t ask(struct policies *p, uint32_t op, struct policy_by by)
{
    mgmt.op = op;
    mgmt.session = by.session;
    mgmt.request = by.id;
    mgmt.repeated = 0;
    mgmt.reason[0] = 0;
    return p->machine->mgmt(&mgmt);
}

static const struct policy_by own_doing;

static void log_line(void *context, const char *name, const char *line)
{
    (void)context;
    fprintf(stderr, "policy %s: %s\n", name, line);
}

/* ---- Sources ------------------------------------------------------------ */

static int64_t read_source(struct policies *p, uint32_t op, const char *what, char name[TITHE_NAME_MAX])
{
    size_t have = 0;
    uint64_t total = 1;
    while (have < total) {
        memset(&mgmt.u.io, 0, sizeof mgmt.u.io);
        text_copy(mgmt.u.io.name, sizeof mgmt.u.io.name, what);
        mgmt.u.io.offset = have;
        mgmt.u.io.length = TITHE_IO_MAX;
        int64_t error = ask(p, op, own_doing);
        if (error < 0) return error;
        size_t length = (size_t)mgmt.u.io.length;
        total = mgmt.u.io.total;
        if (total > TITHE_POLICY_MAX_BYTES || length > TITHE_IO_MAX ||
            length > TITHE_POLICY_MAX_BYTES - have) {
            return -TITHE_ERANGE;
        }
        if (length == 0) break;
        memcpy(source_buffer + have, mgmt.u.io.data, length);
        have += length;
    }
    if (name != NULL) text_copy(name, TITHE_NAME_MAX, mgmt.u.io.name);
    return (int64_t)have;
}

int64_t policies_read_slot(struct policies *p, const char *slot, char name[TITHE_NAME_MAX],
                           const char **source)
{
    int64_t bytes = read_source(p, TITHE_OP_POLICY_READ, slot, name);
    *source = source_buffer;
    if (bytes < 0) return bytes;
    /* The name of the slot's policy is not in what was read; the core has it here. */
    int64_t error = ask(p, TITHE_OP_POLICY_INFO, own_doing);
    if (error < 0) return error;
    const struct tithe_policy_info *info = &mgmt.u.policy;
    if (strcmp(slot, "active") == 0) text_copy(name, TITHE_NAME_MAX, info->name);
    if (strcmp(slot, "previous") == 0) text_copy(name, TITHE_NAME_MAX, info->previous);
    return bytes;
}

int64_t policies_read_file(struct policies *p, const char *name, const char **source)
{
    char path[TITHE_NAME_MAX];
    *source = source_buffer;
    if ((size_t)snprintf(path, sizeof path, "policy/%s.lua", name) >= sizeof path) return -TITHE_ENOENT;
    return read_source(p, TITHE_OP_FILE_READ, path, NULL);
}

int64_t policies_stage(struct policies *p, const char *name, const char *source, size_t source_bytes)
{
    size_t done = 0;
    do {
        size_t length = source_bytes - done < TITHE_IO_MAX ? source_bytes - done : TITHE_IO_MAX;
        text_copy(mgmt.u.io.name, sizeof mgmt.u.io.name, name);
        mgmt.u.io.offset = done;
        mgmt.u.io.length = length;
        memcpy(mgmt.u.io.data, source + done, length);
        int64_t error = ask(p, TITHE_OP_POLICY_STAGE, own_doing);
        if (error < 0) return error;
        done += length;
    } while (done < source_bytes);
    return 0;
}

/* ---- What outlives the steward ------------------------------------------ */

static size_t build_saved(struct policies *p, uint8_t out[TITHE_IO_MAX])
{
    struct cborx_writer w;
    cborx_begin(&w, out, TITHE_IO_MAX);
    cborx_put_map(&w, NULL);
    if (p->attempt_session != 0) {
        cborx_put_array(&w, "attempt");
        cborx_put_uint(&w, NULL, p->attempt_session);
        cborx_put_uint(&w, NULL, p->attempt_id);
        cborx_end(&w);
    }
    if (p->active != NULL) {
        script_params(p->active, &w, "params");
        if (!script_save(p->active, &w, "state")) {
            text_copy(p->last_error, sizeof p->last_error, p->active->why);
        }
    }
    cborx_end(&w);
    return cborx_finish(&w);
}

static int64_t save(struct policies *p, struct policy_by by)
{
    static uint8_t fresh[TITHE_IO_MAX];
    size_t bytes = build_saved(p, fresh);
    if (bytes == 0) return -TITHE_ENOSPC;
    if (by.session == 0 && bytes == p->saved_bytes && memcmp(fresh, p->saved, bytes) == 0) return 0;
    memset(&mgmt.u.io, 0, sizeof mgmt.u.io);
    mgmt.u.io.length = bytes;
    memcpy(mgmt.u.io.data, fresh, bytes);
    int64_t error = ask(p, TITHE_OP_POLICY_SAVE, by);
    if (error < 0) return error;
    memcpy(p->saved, fresh, bytes);
    p->saved_bytes = bytes;
    return 0;
}

/* Gives a script the parameters and the state in p->saved, as far as names match. */
static bool inherit(const struct policies *p, struct script *to)
{
    const char *why;
    if (p->saved_bytes == 0) return true;
    cbor_item_t *saved = cborx_load(p->saved, p->saved_bytes, &why);
    if (saved == NULL) return true;
    script_params_adopt(to, cborx_get(saved, "params"));
    bool ok = script_restore(to, cborx_get(saved, "state"));
    cbor_decref(&saved);
    return ok;
}

/* The last thing the core says about a death of the steward. */
static void find_death(struct policies *p)
{
    enum { LOOK_BACK = 64 };
    uint64_t end = p->machine->snapshot->event_seq, seq = end > LOOK_BACK ? end - LOOK_BACK : 0;
    snprintf(p->attempt_reason, sizeof p->attempt_reason, "the steward died of it");
    while (seq < end) {
        mgmt.u.event.seq = seq;
        if (ask(p, TITHE_OP_EVENT_READ, own_doing) < 0) return;
        if (mgmt.u.event.kind == TITHE_EVENT_STEWARD_DIED) {
            memcpy(p->attempt_reason, mgmt.u.event.text, sizeof p->attempt_reason);
            p->attempt_reason[sizeof p->attempt_reason - 1] = 0;
        }
        seq = mgmt.u.event.seq + 1;
    }
}

static void read_saved(struct policies *p)
{
    memset(&mgmt.u.io, 0, sizeof mgmt.u.io);
    mgmt.u.io.length = TITHE_IO_MAX;
    if (ask(p, TITHE_OP_POLICY_SAVED, own_doing) < 0 || mgmt.u.io.length > TITHE_IO_MAX) return;
    p->saved_bytes = (size_t)mgmt.u.io.length;
    memcpy(p->saved, mgmt.u.io.data, p->saved_bytes);
    const char *why;
    cbor_item_t *saved = p->saved_bytes ? cborx_load(p->saved, p->saved_bytes, &why) : NULL;
    const cbor_item_t *attempt = cborx_get(saved, "attempt");
    if (attempt != NULL && cbor_isa_array(attempt) && cbor_array_size(attempt) == 2 &&
        cborx_uint(cbor_array_handle(attempt)[0], &p->attempt_session) &&
        cborx_uint(cbor_array_handle(attempt)[1], &p->attempt_id)) {
        p->attempt_fatal = true;
    }
    if (saved != NULL) cbor_decref(&saved);
    if (p->attempt_fatal) find_death(p);
}

/* ---- Coming into charge ------------------------------------------------- */

static void take_charge(struct policies *p, struct script *s, bool trial)
{
    script_free(p->active);
    p->active = s;
    s->candidate = false;
    s->print = log_line;
    s->print_context = NULL;
    p->trial = trial;
    p->trial_left = trial ? s->trial_ticks : 0;
    p->errors_in_row = 0;
}

/* Loads whatever the core says is active. */
static bool load_active(struct policies *p, char why[SCRIPT_WHY_MAX])
{
    char name[TITHE_NAME_MAX];
    const char *source;
    int64_t bytes = policies_read_slot(p, "active", name, &source);
    bool trial = bytes > 0 && mgmt.u.policy.trial != 0;
    if (bytes <= 0) {
        snprintf(why, SCRIPT_WHY_MAX, "there is no active policy");
        return false;
    }
    struct script *s = script_load(p->machine, name, source, (size_t)bytes, log_line, NULL, why);
    if (s == NULL) return false;
    if (!inherit(p, s)) log_line(NULL, name, s->why);
    take_charge(p, s, trial);
    return true;
}

static bool load_first(struct policies *p, char why[SCRIPT_WHY_MAX])
{
    const char *source;
    int64_t bytes = policies_read_file(p, POLICY_FIRST, &source);
    if (bytes <= 0) {
        snprintf(why, SCRIPT_WHY_MAX, "policy/%s.lua is not in the module archive", POLICY_FIRST);
        return false;
    }
    struct script *s = script_load(p->machine, POLICY_FIRST, source, (size_t)bytes, log_line, NULL, why);
    if (s == NULL) return false;
    inherit(p, s);
    if (policies_stage(p, POLICY_FIRST, source, (size_t)bytes) == 0) {
        memset(&mgmt.u.policy, 0, sizeof mgmt.u.policy);
        text_copy(mgmt.u.policy.name, sizeof mgmt.u.policy.name, POLICY_FIRST);
        if (ask(p, TITHE_OP_POLICY_ACTIVATE, own_doing) == 0) ask(p, TITHE_OP_POLICY_CONFIRM, own_doing);
    }
    take_charge(p, s, false);
    return true;
}

static int64_t core_rollback(struct policies *p, const char *why, struct policy_by by)
{
    memset(&mgmt.u.policy, 0, sizeof mgmt.u.policy);
    text_copy(mgmt.u.policy.reason, sizeof mgmt.u.policy.reason, why);
    return ask(p, TITHE_OP_POLICY_ROLLBACK, by);
}

void policies_start(struct policies *p, const struct machine *machine)
{
    char why[SCRIPT_WHY_MAX];
    memset(p, 0, sizeof *p);
    p->machine = machine;
    read_saved(p);
    if (load_active(p, why)) return;
    /* There is none at the first start of all; otherwise it is one that no longer loads. */
    if (core_rollback(p, why, own_doing) == 0 && load_active(p, why)) return;
    if (!load_first(p, why)) {
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
    if (core_rollback(p, why, own_doing) == 0 && load_active(p, other)) return;
    if (strcmp(p->active->name, POLICY_FIRST) != 0) load_first(p, other);
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
    char why[SCRIPT_WHY_MAX];
    snprintf(why, sizeof why, "%s.lua: %s: the plan was refused: action %u (VM %u to %llu pages): %s%s",
             p->active->name, function, judged.first + 1, a->vm, (unsigned long long)a->pages[0],
             name_of_refusal(judged.why[judged.first]), at_fault > 1 ? ", and others" : "");
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
    p->tick_instructions = p->active->spent;
    if (!ran) {
        failed(p, p->active->why);
        return;
    }
    if (!apply(p, "tick")) return;
    p->errors_in_row = 0;
    if (p->trial && --p->trial_left == 0) {
        p->trial = false;
        ask(p, TITHE_OP_POLICY_CONFIRM, own_doing);
    }
    if (p->active->has_save) save(p, own_doing);
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

/* ---- Changing it -------------------------------------------------------- */

static void collect(void *context, const char *name, const char *line)
{
    struct policy_check *check = context;
    (void)name;
    if (check->print_count > SCRIPT_PRINTS_MAX) return;
    text_copy(check->prints[check->print_count++], SCRIPT_PRINT_BYTES, line);
}

void policies_check(struct policies *p, const char *name, const char *source, size_t source_bytes,
                    struct policy_by by, struct policy_check *check)
{
    memset(check, 0, sizeof *check);
    if (p->attempt_fatal && p->attempt_session == by.session && p->attempt_id == by.id) {
        text_copy(check->why, sizeof check->why, p->attempt_reason);
        return;
    }
    p->attempt_fatal = false;
    p->attempt_session = by.session;
    p->attempt_id = by.id;
    save(p, own_doing);
    check->candidate = script_load(p->machine, name, source, source_bytes, collect, check, check->why);
    if (check->candidate != NULL) {
        struct script *c = check->candidate;
        check->ran =
            inherit(p, c) && script_tick(c, (double)p->machine->snapshot->tick_ns / NS_PER_S, &check->plan);
        if (!check->ran) memcpy(check->why, c->why, sizeof check->why);
        rules_judge(p->machine->snapshot, check->plan.actions, check->plan.count, &check->result);
    }
    p->attempt_session = p->attempt_id = 0;
    save(p, own_doing);
}

void policies_check_done(struct policies *p, struct policy_check *check)
{
    (void)p;
    script_free(check->candidate);
    check->candidate = NULL;
}

int64_t policies_activate(struct policies *p, struct policy_check *check, struct policy_by by,
                          char reason[TITHE_REASON_MAX])
{
    memset(&mgmt.u.policy, 0, sizeof mgmt.u.policy);
    text_copy(mgmt.u.policy.name, sizeof mgmt.u.policy.name, check->candidate->name);
    int64_t error = ask(p, TITHE_OP_POLICY_ACTIVATE, by);
    if (error < 0) {
        memcpy(reason, mgmt.reason, TITHE_REASON_MAX);
        return error;
    }
    take_charge(p, check->candidate, true);
    check->candidate = NULL;
    p->last_error[0] = 0;
    save(p, own_doing);
    return 0;
}

int64_t policies_rollback(struct policies *p, const char *why, struct policy_by by,
                          char reason[TITHE_REASON_MAX])
{
    char other[SCRIPT_WHY_MAX];
    int64_t error = core_rollback(p, why, by);
    memcpy(reason, mgmt.reason, TITHE_REASON_MAX);
    if (error < 0) return error;
    if (mgmt.repeated == 0 && !load_active(p, other)) load_first(p, other);
    return 0;
}

bool policies_set(struct policies *p, const char *name, const cbor_item_t *value, struct policy_by by,
                  int64_t *error)
{
    *error = 0;
    if (!script_param_set(p->active, name, value)) return false;
    *error = save(p, by);
    if (*error == 0) return true;
    /* A stale request: the core kept the newer state, which is what goes back in. */
    inherit(p, p->active);
    return false;
}
