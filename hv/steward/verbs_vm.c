/* SPDX-License-Identifier: MIT
 *
 * Verbs about one VM.
 */
#include <stdio.h>
#include <string.h>
#include "names.h"
#include "rules.h"
#include "serve.h"
#include "text.h"

#define DEFAULT_SHARES     1000u
#define DEFAULT_CPU_SHARES 1000u

static void put_id(struct answer *a, const struct tithe_mgmt *m, uint32_t id, const char *name)
{
    cborx_put_uint(&a->w, "id", id);
    cborx_put_text(&a->w, "name", name);
    if (m->repeated) cborx_put_bool(&a->w, "repeated", true);
}

void verb_info(struct steward *s, const struct request *r, struct answer *a)
{
    uint32_t id;
    char thing[TITHE_NAME_MAX];
    if (cborx_get(r->args, "vm") == NULL) {
        put_host(&a->w, "host", s, true);
        return;
    }
    if (!arg_vm(s, r, a, &id, thing)) return;
    const struct tithe_vm_snapshot *vm = rules_vm(s->machine->snapshot, id);
    if (vm == NULL) {
        answer_fail(a, "not-found", thing, "'tithe list' shows those there are", "there is no VM '%s'",
                    thing);
        return;
    }
    put_vm(&a->w, "vm", vm, true);
}

/* ---- create ------------------------------------------------------------- */

static bool optional_text(const struct request *r, struct answer *a, const char *name, char *out,
                          size_t out_bytes)
{
    return cborx_get(r->args, name) == NULL || arg_text(r, a, name, out, out_bytes);
}

static bool read_kind(const struct request *r, struct answer *a, uint32_t *kind)
{
    char text[16];
    if (cborx_get(r->args, "kind") == NULL) return true;
    if (!arg_text(r, a, "kind", text, sizeof text)) return false;
    if (strcmp(text, "linux") == 0) *kind = TITHE_GUEST_LINUX;
    if (strcmp(text, "multiboot") == 0) *kind = TITHE_GUEST_MULTIBOOT;
    if (*kind != 0) return true;
    answer_fail(a, "bad-args", "kind", "", "there is no kind of guest '%s'; there are: linux, multiboot",
                text);
    return false;
}

static bool read_create(const struct request *r, struct answer *a, struct tithe_create *c)
{
    uint64_t vcpus;
    bool paused = false;
    const cbor_item_t *item = cborx_get(r->args, "paused");
    if (item != NULL && !cborx_bool(item, &paused)) {
        answer_fail(a, "bad-args", "paused", "", "the argument 'paused' is not true or false");
        return false;
    }
    c->paused = paused;
    bool ok = arg_name(r, a, "name", c->name) && arg_name(r, a, "kernel", c->kernel) &&
              (cborx_get(r->args, "module") == NULL || arg_name(r, a, "module", c->module)) &&
              optional_text(r, a, "cmdline", c->cmdline, sizeof c->cmdline) &&
              optional_text(r, a, "disk", c->disk, sizeof c->disk) &&
              arg_uint(r, a, "size_pages", &c->size_pages) &&
              arg_uint_or(r, a, "min_pages", 0, &c->min_pages) &&
              arg_uint_or(r, a, "max_pages", c->size_pages, &c->max_pages) &&
              arg_uint_or(r, a, "shares", DEFAULT_SHARES, &c->shares) &&
              arg_uint_or(r, a, "cpu_shares", DEFAULT_CPU_SHARES, &c->cpu_shares) &&
              arg_uint_or(r, a, "vcpus", 1, &vcpus) && read_kind(r, a, &c->kind);
    if (!ok) return false;
    if (c->cpu_shares == 0) { /* which would be the core's default */
        answer_fail(a, "out-of-range", "cpu_shares", "leave them out for 1000",
                    "CPU shares lie between 1 and 1000000");
        return false;
    }
    c->vcpus = vcpus > UINT32_MAX ? UINT32_MAX : (uint32_t)vcpus;
    return true;
}

static bool name_taken(const struct steward *s, const char *name)
{
    const struct tithe_snapshot *snap = s->machine->snapshot;
    for (uint32_t i = 0; i < snap->vm_count; i++) {
        if (strcmp(snap->vm[i].name, name) == 0) return true;
    }
    return false;
}

/* The policy's word. A name that is taken goes to the core unasked: it may be this very
 * request's VM, made before an answer was lost. */
static bool admitted(struct steward *s, struct answer *a, const struct tithe_create *c)
{
    struct script *policy = s->policies.active;
    bool yes;
    if (policy == NULL || name_taken(s, c->name)) return true;
    if (!script_admit(policy, c, &yes)) {
        answer_fail(a, "policy", c->name, "mend the policy, or load another",
                    "the policy could not be asked: %s", policy->why);
    } else if (!yes) {
        answer_fail(a, "refused", c->name, "", "policy %s does not admit it: %s", policy->name, policy->why);
    }
    return !a->failed;
}

void verb_create(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_CREATE, r, true);
    struct tithe_create c = {0};
    if (!read_create(r, a, &c) || !admitted(s, a, &c)) return;
    m->u.create = c;
    if (mgmt_call(s, m, a, c.name)) put_id(a, m, m->u.create.id, c.name);
}

/* ---- Changes ------------------------------------------------------------ */

/* Makes the change that m describes, apart from the VM. */
static void change(struct steward *s, const struct request *r, struct answer *a, struct tithe_mgmt *m)
{
    uint32_t id;
    char thing[TITHE_NAME_MAX];
    if (!arg_vm(s, r, a, &id, thing)) return;
    m->vm = id;
    int64_t error = s->machine->mgmt(m);
    if (error < 0 && id == 0) {
        answer_fail(a, "not-found", thing, "'tithe list' shows those there are", "there is no VM '%s'",
                    thing);
    } else if (error < 0) {
        m->reason[sizeof m->reason - 1] = 0;
        answer_fail(a, name_of_error(error), thing, "", "%s", m->reason);
    } else {
        put_id(a, m, m->vm, thing);
    }
}

void verb_destroy(struct steward *s, const struct request *r, struct answer *a)
{
    change(s, r, a, mgmt_begin(TITHE_OP_DESTROY, r, true));
}

void verb_pause(struct steward *s, const struct request *r, struct answer *a)
{
    change(s, r, a, mgmt_begin(TITHE_OP_PAUSE, r, true));
}

void verb_unpause(struct steward *s, const struct request *r, struct answer *a)
{
    change(s, r, a, mgmt_begin(TITHE_OP_UNPAUSE, r, true));
}

void verb_suspend(struct steward *s, const struct request *r, struct answer *a)
{
    change(s, r, a, mgmt_begin(TITHE_OP_SUSPEND, r, true));
}

void verb_resume(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_RESUME, r, true);
    if (cborx_get(r->args, "pages") != NULL && !arg_uint(r, a, "pages", &m->u.set.value)) return;
    change(s, r, a, m);
}

void verb_mem_set(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_SET_TARGET, r, true);
    char word[8] = "";
    cborx_text(cborx_get(r->args, "pages"), word, sizeof word);
    m->u.set.value = TITHE_AUTO;
    if (strcmp(word, "auto") != 0 && !arg_uint(r, a, "pages", &m->u.set.value)) return;
    change(s, r, a, m);
}

static void change_number(struct steward *s, const struct request *r, struct answer *a, uint32_t op,
                          const char *argument)
{
    struct tithe_mgmt *m = mgmt_begin(op, r, true);
    if (arg_uint(r, a, argument, &m->u.set.value)) change(s, r, a, m);
}

void verb_mem_max(struct steward *s, const struct request *r, struct answer *a)
{
    change_number(s, r, a, TITHE_OP_SET_MAX, "pages");
}

void verb_mem_min(struct steward *s, const struct request *r, struct answer *a)
{
    change_number(s, r, a, TITHE_OP_SET_MIN, "pages");
}

void verb_shares(struct steward *s, const struct request *r, struct answer *a)
{
    change_number(s, r, a, TITHE_OP_SET_SHARES, "shares");
}

void verb_cpu_shares(struct steward *s, const struct request *r, struct answer *a)
{
    change_number(s, r, a, TITHE_OP_SET_CPU_SHARES, "shares");
}

void verb_share_group(struct steward *s, const struct request *r, struct answer *a)
{
    change_number(s, r, a, TITHE_OP_SET_GROUP, "group");
}

/* ---- Console ------------------------------------------------------------ */

void verb_console_read(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_CONSOLE_READ, r, false);
    char thing[TITHE_NAME_MAX];
    if (!arg_vm(s, r, a, &m->vm, thing) || !arg_uint(r, a, "offset", &m->u.io.offset)) return;
    m->u.io.length = TITHE_IO_MAX;
    if (!mgmt_call(s, m, a, thing) || m->u.io.length > TITHE_IO_MAX) return;
    cborx_put_uint(&a->w, "offset", m->u.io.offset);
    cborx_put_uint(&a->w, "total", m->u.io.total);
    cborx_put_bytes(&a->w, "data", m->u.io.data, m->u.io.length);
}

void verb_console_write(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_CONSOLE_WRITE, r, true);
    const uint8_t *data;
    size_t length;
    char thing[TITHE_NAME_MAX];
    if (!arg_vm(s, r, a, &m->vm, thing) || !arg_data(r, a, &data, &length)) return;
    m->u.io.length = length;
    memcpy(m->u.io.data, data, length);
    if (mgmt_call(s, m, a, thing)) cborx_put_uint(&a->w, "written", m->u.io.length);
}
