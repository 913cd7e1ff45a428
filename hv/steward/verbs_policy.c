/* SPDX-License-Identifier: MIT
 *
 * Verbs about policies.
 */
#include <string.h>
#include <zlib.h>
#include "names.h"
#include "serve.h"
#include "text.h"

#define LISTED_MAX 80u /* policies that one answer has room for; others can be loaded all the same */

static struct policy_by by(const struct request *r)
{
    return (struct policy_by){r->session, r->id};
}

static void fail_errno(struct answer *a, int64_t error, const char *thing, const char *reason)
{
    answer_fail(a, name_of_error(error), thing, "", "%s", reason[0] != 0 ? reason : name_of_error(error));
}

/* ---- Looking ------------------------------------------------------------ */

void put_policy_info(struct cborx_writer *w, const char *key, struct steward *s)
{
    struct policies *p = &s->policies;
    struct script *active = p->active;
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_POLICY_INFO, NULL, false);
    if (s->machine->mgmt(m) < 0) memset(&m->u.policy, 0, sizeof m->u.policy);
    const struct tithe_policy_info *info = &m->u.policy;
    if (key != NULL) cborx_put_map(w, key);
    cborx_put_text(w, "name", active != NULL ? active->name : "");
    cborx_put_text(w, "title", active != NULL ? active->title : "");
    put_text_bytes(w, "previous", info->previous, sizeof info->previous);
    cborx_put_uint(w, "bytes", info->active_bytes);
    cborx_put_bool(w, "trial", p->trial);
    cborx_put_uint(w, "trial_left", p->trial_left);
    cborx_put_uint(w, "activations", info->activations);
    cborx_put_uint(w, "rollbacks", info->rollbacks);
    cborx_put_uint(w, "deaths", info->failed);
    put_text_bytes(w, "rollback_reason", info->reason, sizeof info->reason);
    cborx_put_text(w, "last_error", p->last_error);
    cborx_put_uint(w, "ticks", p->ticks);
    cborx_put_uint(w, "errors", p->errors);
    cborx_put_uint(w, "tick_instructions", p->tick_instructions);
    cborx_put_uint(w, "soft_budget", SCRIPT_SOFT_BUDGET);
    cborx_put_uint(w, "lua_bytes", active != NULL ? active->used_bytes : 0);
    cborx_put_uint(w, "lua_max_bytes", SCRIPT_MAX_BYTES);
    if (active != NULL) {
        script_params(active, w, "params", false);
    } else {
        cborx_put_map(w, "params");
        cborx_end(w);
    }
    if (key != NULL) cborx_end(w);
}

void verb_policy_info(struct steward *s, const struct request *r, struct answer *a)
{
    (void)r;
    put_policy_info(&a->w, NULL, s);
}

static void put_entry(struct cborx_writer *w, const char *name, const char *state, uint64_t bytes)
{
    cborx_put_map(w, NULL);
    cborx_put_text(w, "name", name);
    cborx_put_text(w, "state", state);
    cborx_put_uint(w, "bytes", bytes);
    cborx_end(w);
}

/* "policy/equal.lua" of the archive is the policy "equal". */
static bool policy_file_name(const char file[TITHE_NAME_MAX], char name[TITHE_NAME_MAX])
{
    static const char folder[] = "policy/", suffix[] = ".lua";
    size_t length = strnlen(file, TITHE_NAME_MAX);
    if (length < sizeof folder + sizeof suffix - 1 || length == TITHE_NAME_MAX) return false;
    size_t name_bytes = length - (sizeof folder - 1) - (sizeof suffix - 1);
    if (strncmp(file, folder, sizeof folder - 1) != 0 ||
        strcmp(file + length - (sizeof suffix - 1), suffix) != 0) {
        return false;
    }
    memcpy(name, file + sizeof folder - 1, name_bytes);
    name[name_bytes] = 0;
    return name_is_good(name);
}

void verb_policy_list(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_POLICY_INFO, r, false);
    struct tithe_policy_info info = {0};
    if (s->machine->mgmt(m) >= 0) info = m->u.policy;
    cborx_put_array(&a->w, "policies");
    if (info.active_bytes != 0) put_entry(&a->w, info.name, "active", info.active_bytes);
    if (info.previous_bytes != 0) put_entry(&a->w, info.previous, "previous", info.previous_bytes);
    for (uint32_t index = 0, listed = 0; listed < LISTED_MAX; index++) {
        char name[TITHE_NAME_MAX];
        m = mgmt_begin(TITHE_OP_FILE_NEXT, r, false);
        m->u.image.index = index;
        if (s->machine->mgmt(m) < 0) break;
        if (!policy_file_name(m->u.image.name, name)) continue;
        put_entry(&a->w, name, "available", m->u.image.bytes);
        listed++;
    }
    cborx_end(&a->w);
}

void verb_policy_show(struct steward *s, const struct request *r, struct answer *a)
{
    char name[TITHE_NAME_MAX] = "", slot[TITHE_NAME_MAX] = "active";
    const char *source;
    uint64_t offset;
    if (!arg_uint(r, a, "offset", &offset)) return;
    if (cborx_get(r->args, "slot") != NULL && !arg_text(r, a, "slot", slot, sizeof slot)) return;
    bool file = cborx_get(r->args, "name") != NULL;
    if (file && !arg_name(r, a, "name", name)) return;
    int64_t bytes = file ? policies_read_file(&s->policies, name, &source)
                         : policies_read_slot(&s->policies, slot, name, &source);
    if (bytes < 0) {
        answer_fail(a, name_of_error(bytes), file ? name : slot, "'tithe policy list' shows those there are",
                    "there is no policy '%s'", file ? name : slot);
        return;
    }
    uint64_t total = (uint64_t)bytes, from = offset < total ? offset : total;
    cborx_put_text(&a->w, "name", name);
    cborx_put_uint(&a->w, "offset", from);
    cborx_put_uint(&a->w, "total", total);
    cborx_put_bytes(&a->w, "data", source + from, total - from < TITHE_IO_MAX ? total - from : TITHE_IO_MAX);
}

/* ---- Checking and loading ----------------------------------------------- */

void verb_policy_stage(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_POLICY_STAGE, r, true);
    char name[TITHE_NAME_MAX];
    const uint8_t *data;
    size_t length;
    if (!arg_name(r, a, "name", name) || !arg_uint(r, a, "offset", &m->u.io.offset) ||
        !arg_data(r, a, &data, &length)) {
        return;
    }
    text_copy(m->u.io.name, sizeof m->u.io.name, name);
    m->u.io.length = length;
    memcpy(m->u.io.data, data, length);
    uint64_t end = m->u.io.offset + length;
    if (mgmt_call(s, m, a, name)) cborx_put_uint(&a->w, "bytes", end);
}

struct source {
    char name[TITHE_NAME_MAX];
    const char *text;
    size_t bytes;
    bool staged;      /* the core has it in its staging place already */
    bool done_before; /* it is the active one: this request's first try got that far */
};

static uint32_t crc_of(const char *text, size_t bytes)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), (const uint8_t *)text, (unsigned)bytes);
}

/* The staged source, if it is the one that the request means: two consoles may be staging. */
static bool find_staged(struct steward *s, const struct request *r, struct answer *a, bool load,
                        struct source *out)
{
    uint64_t bytes, crc;
    char name[TITHE_NAME_MAX];
    if (!arg_name(r, a, "name", out->name) || !arg_uint(r, a, "bytes", &bytes) ||
        !arg_uint(r, a, "crc32", &crc)) {
        return false;
    }
    static const char *const slots[] = {"staged", "active"};
    for (unsigned i = 0; i < (load ? 2 : 1); i++) {
        int64_t got = policies_read_slot(&s->policies, slots[i], name, &out->text);
        if (got < 0 || (uint64_t)got != bytes || crc_of(out->text, (size_t)got) != crc) continue;
        out->bytes = (size_t)got;
        out->staged = i == 0;
        out->done_before = i == 1;
        return true;
    }
    answer_fail(a, "not-found", out->name, "send it again with policy-stage",
                "the staged source is not the one meant: its length or CRC-32 differs");
    return false;
}

static bool find_source(struct steward *s, const struct request *r, struct answer *a, bool load,
                        struct source *out)
{
    if (cborx_get(r->args, "file") == NULL) return find_staged(s, r, a, load, out);
    if (!arg_name(r, a, "file", out->name)) return false;
    int64_t bytes = policies_read_file(&s->policies, out->name, &out->text);
    if (bytes < 0) {
        answer_fail(a, name_of_error(bytes), out->name, "'tithe policy list' shows those there are",
                    "there is no policy '%s' in the machine's archive", out->name);
        return false;
    }
    out->bytes = (size_t)bytes;
    return true;
}

static void put_plan(struct cborx_writer *w, const struct policy_check *check)
{
    enum { SHOWN_MAX = 64 };
    uint32_t shown = check->plan.count < SHOWN_MAX ? check->plan.count : SHOWN_MAX;
    cborx_put_array(w, "plan");
    for (uint32_t i = 0; i < shown; i++) {
        cborx_put_map(w, NULL);
        cborx_put_text(w, "verb", name_of_verb(check->plan.actions[i].verb));
        cborx_put_uint(w, "vm", check->plan.actions[i].vm);
        cborx_put_uint(w, "pages", check->plan.actions[i].pages);
        const char *way = name_of_way(&check->plan.actions[i]);
        if (way != NULL) cborx_put_text(w, "way", way);
        cborx_put_text(w, "verdict", name_of_refusal(check->result.why[i]));
        cborx_end(w);
    }
    cborx_end(w);
    if (shown < check->plan.count) cborx_put_uint(w, "more_actions", check->plan.count - shown);
}

static void put_check(struct cborx_writer *w, const struct policy_check *check, struct script *script)
{
    enum { PRINTS_BYTES = 2048 };
    cborx_put_text(w, "name", script->name);
    cborx_put_text(w, "title", script->title);
    put_plan(w, check);
    cborx_put_uint(w, "refused", check->result.refused);
    cborx_put_array(w, "prints");
    size_t from = w->used_bytes;
    for (unsigned i = 0; i < check->print_count && w->used_bytes - from < PRINTS_BYTES; i++) {
        cborx_put_text(w, NULL, check->prints[i]);
    }
    cborx_end(w);
    script_params(script, w, "params", false);
}

static bool check_source(struct steward *s, const struct request *r, struct answer *a,
                         const struct source *source, struct policy_check *check)
{
    policies_check(&s->policies, source->name, source->text, source->bytes, by(r), check);
    if (check->ran) return true;
    answer_fail(a, "policy", source->name, "the policy in charge stays", "%s", check->why);
    return false;
}

void verb_policy_check(struct steward *s, const struct request *r, struct answer *a)
{
    static struct policy_check check;
    struct source source = {0};
    if (!find_source(s, r, a, false, &source)) return;
    if (check_source(s, r, a, &source, &check)) put_check(&a->w, &check, check.candidate);
    policies_check_done(&s->policies, &check);
}

static bool plan_is_allowed(struct answer *a, const struct source *source, const struct policy_check *check)
{
    if (check->result.refused == 0) return true;
    uint32_t i = check->result.first;
    answer_fail(a, "refused", source->name,
                "'tithe policy check' shows the whole plan; the policy in charge stays",
                "%s.lua:%d: action %u of its plan (%s, VM %u, %llu pages) would be refused: %s", source->name,
                check->candidate->tick_line, i + 1, name_of_verb(check->plan.actions[i].verb),
                check->plan.actions[i].vm, (unsigned long long)check->plan.actions[i].pages,
                name_of_refusal(check->result.why[i]));
    return false;
}

static void load(struct steward *s, const struct request *r, struct answer *a, const struct source *source,
                 struct policy_check *check)
{
    struct policies *p = &s->policies;
    char reason[TITHE_REASON_MAX] = "";
    if (!check_source(s, r, a, source, check) || !plan_is_allowed(a, source, check)) return;
    int64_t error = 0;
    if (!source->staged && !source->done_before) {
        /* the check may have used the one source buffer */
        const char *text;
        int64_t bytes = policies_read_file(p, source->name, &text);
        error = bytes < 0 ? bytes : policies_stage(p, source->name, text, (size_t)bytes);
    }
    if (error == 0 && !source->done_before) error = policies_activate(p, check, by(r), reason);
    if (error != 0) {
        fail_errno(a, error, source->name, reason);
        return;
    }
    put_check(&a->w, check, p->active);
    cborx_put_uint(&a->w, "trial_ticks", p->active->trial_ticks);
    s->tick_now = true;
}

void verb_policy_load(struct steward *s, const struct request *r, struct answer *a)
{
    static struct policy_check check;
    struct source source = {0};
    if (!find_source(s, r, a, true, &source)) return;
    load(s, r, a, &source, &check);
    policies_check_done(&s->policies, &check);
}

/* ---- Changing ----------------------------------------------------------- */

void verb_policy_rollback(struct steward *s, const struct request *r, struct answer *a)
{
    char why[TITHE_REASON_MAX] = "the operator asked for it", reason[TITHE_REASON_MAX] = "";
    if (cborx_get(r->args, "reason") != NULL && !arg_text(r, a, "reason", why, sizeof why)) return;
    int64_t error = policies_rollback(&s->policies, why, by(r), reason);
    if (error < 0) {
        fail_errno(a, error, "policy", error == -TITHE_ENOENT ? "there is no previous policy" : reason);
        return;
    }
    cborx_put_text(&a->w, "name", s->policies.active != NULL ? s->policies.active->name : "");
    s->tick_now = true;
}

void verb_policy_set(struct steward *s, const struct request *r, struct answer *a)
{
    struct policies *p = &s->policies;
    char name[128];
    int64_t error;
    const cbor_item_t *value = cborx_get(r->args, "value");
    if (!arg_text(r, a, "name", name, sizeof name)) return;
    if (value == NULL) {
        answer_fail(a, "bad-args", "value", "", "the argument 'value' is missing");
    } else if (p->active == NULL) {
        answer_fail(a, "not-found", name, "load a policy first", "no policy is in charge");
    } else if (!policies_set(p, name, value, by(r), &error)) {
        if (error < 0) {
            fail_errno(a, error, name, "the machine did not keep it");
        } else {
            answer_fail(a, "bad-args", name, "", "%s", p->active->why);
        }
    } else {
        script_params(p->active, &a->w, "params", false);
        s->tick_now = true;
    }
}
