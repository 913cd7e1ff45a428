/* SPDX-License-Identifier: MIT
 *
 * Verbs about the machine as a whole.
 */
#include <string.h>
#include "fields.h"
#include "names.h"
#include "serve.h"
#include "text.h"

#define TITHE_VERSION "0.1"

static void put_fields(struct cborx_writer *w, const struct field *fields, size_t count, const void *from)
{
    for (size_t i = 0; i < count; i++) cborx_put_uint(w, fields[i].name, field_value(&fields[i], from));
}

/* Text of an array that the core should have ended with NUL. */
void put_text_bytes(struct cborx_writer *w, const char *key, const char *text, size_t text_bytes)
{
    char copy[TITHE_CMDLINE_MAX];
    text_copy(copy, text_bytes < sizeof copy ? text_bytes : sizeof copy, text);
    cborx_put_text(w, key, copy);
}

static void put_cpus(struct cborx_writer *w, const struct tithe_snapshot *snap)
{
    cborx_put_array(w, "cpu");
    for (uint64_t i = 0; i < snap->cpus && i < TITHE_CPUS_MAX; i++) {
        const struct tithe_cpu_snapshot *cpu = &snap->cpu[i];
        cborx_put_map(w, NULL);
        cborx_put_uint(w, "apic_id", cpu->apic_id);
        cborx_put_uint(w, "guest_ns", cpu->guest_ns);
        cborx_put_uint(w, "steward_ns", cpu->steward_ns);
        cborx_put_uint(w, "worker_ns", cpu->worker_ns);
        cborx_put_uint(w, "idle_ns", cpu->idle_ns);
        cborx_end(w);
    }
    cborx_end(w);
}

void put_host(struct cborx_writer *w, const char *key, struct steward *s, bool cpus)
{
    const struct tithe_snapshot *snap = s->machine->snapshot;
    cborx_put_map(w, key);
    put_fields(w, host_fields, host_field_count, snap);
    put_fields(w, host_more_fields, host_more_field_count, snap);
    cborx_put_uint(w, "vm_count", snap->vm_count);
    cborx_put_bool(w, "test_mode", snap->test_mode != 0);
    put_text_bytes(w, "vendor", snap->vendor, sizeof snap->vendor);
    put_text_bytes(w, "machine", snap->machine, sizeof snap->machine);
    cborx_put_text(w, "policy", s->policies.active != NULL ? s->policies.active->name : "");
    if (cpus) put_cpus(w, snap);
    cborx_end(w);
}

static void put_guest(struct cborx_writer *w, const struct tithe_guest_stats *g)
{
    cborx_put_map(w, "guest");
    for (size_t i = 0; i < guest_field_count; i++) {
        uint64_t value = field_value(&guest_fields[i], g);
        if (value != UINT64_MAX) cborx_put_uint(w, guest_fields[i].name, value);
    }
    cborx_end(w);
}

static void put_sample(struct cborx_writer *w, const struct tithe_sample *sample)
{
    cborx_put_map(w, "sample");
    cborx_put_text(w, "method", name_of_method(sample->method));
    put_fields(w, sample_fields, sample_field_count, sample);
    cborx_end(w);
}

static void put_vcpus(struct cborx_writer *w, const struct tithe_vm_snapshot *vm)
{
    cborx_put_array(w, "vcpu");
    for (uint64_t i = 0; i < vm->vcpus && i < TITHE_VCPUS_MAX; i++) {
        cborx_put_map(w, NULL);
        cborx_put_text(w, "state", name_of_vcpu_state(vm->vcpu[i].state));
        cborx_put_uint(w, "cpu", vm->vcpu[i].cpu);
        cborx_put_uint(w, "cpu_ns", vm->vcpu[i].cpu_ns);
        cborx_end(w);
    }
    cborx_end(w);
}

void put_vm(struct cborx_writer *w, const char *key, const struct tithe_vm_snapshot *vm, bool all)
{
    cborx_put_map(w, key);
    cborx_put_uint(w, "id", vm->id);
    put_text_bytes(w, "name", vm->name, sizeof vm->name);
    cborx_put_text(w, "state", name_of_state(vm->state));
    cborx_put_bool(w, "held", vm->held != 0);
    put_fields(w, vm_fields, all ? vm_field_count : vm_list_field_count, vm);
    if (vm->state == TITHE_VM_STOPPED) {
        cborx_put_text(w, "stop_reason", name_of_stop(vm->stop_reason));
        cborx_put_uint(w, "exit_code", vm->exit_code);
    }
    if (all) cborx_put_bool(w, "balloon_driver", vm->balloon_driver != 0);
    if (all && vm->state != TITHE_VM_STOPPED) put_vcpus(w, vm);
    if (all && vm->sample.period != 0) put_sample(w, &vm->sample);
    if (all && vm->disk.sectors != 0) {
        cborx_put_map(w, "disk");
        put_fields(w, disk_fields, disk_field_count, &vm->disk);
        cborx_end(w);
    }
    if (all && vm->guest.updated_ns != 0) put_guest(w, &vm->guest);
    cborx_end(w);
}

void verb_hello(struct steward *s, const struct request *r, struct answer *a)
{
    const struct tithe_snapshot *snap = s->machine->snapshot;
    struct cborx_writer *w = &a->w;
    (void)r;
    cborx_put_text(w, "version", TITHE_VERSION);
    cborx_put_uint(w, "abi", snap->abi_version);
    cborx_put_uint(w, "boot_id", snap->boot_id);
    put_text_bytes(w, "machine", snap->machine, sizeof snap->machine);
    put_text_bytes(w, "vendor", snap->vendor, sizeof snap->vendor);
    cborx_put_bool(w, "test_mode", snap->test_mode != 0);
    cborx_put_uint(w, "steward_restarts", snap->steward_restarts);
    cborx_put_map(w, "limits");
    cborx_put_uint(w, "payload_bytes", FRAME_PAYLOAD_MAX_BYTES);
    cborx_put_uint(w, "io_bytes", TITHE_IO_MAX);
    cborx_put_uint(w, "vms", TITHE_VMS_MAX);
    cborx_put_uint(w, "name_bytes", TITHE_NAME_MAX - 1);
    cborx_put_uint(w, "cmdline_bytes", TITHE_CMDLINE_MAX - 1);
    cborx_put_uint(w, "policy_bytes", TITHE_POLICY_MAX_BYTES);
    cborx_put_uint(w, "plan_actions", TITHE_PLAN_MAX);
    cborx_end(w);
}

/* VMs with an id above `after`, as many as fit; `more` is the `after` to go on with. What there is once is in the first
 * answer, which may have no room for a VM besides: then `more` is 0. */
static void put_vms(struct steward *s, const struct request *r, struct answer *a, bool all)
{
    enum { TAIL_BYTES = 32 }; /* for "more" and the envelope's end */
    const struct tithe_snapshot *snap = s->machine->snapshot;
    uint64_t after, last = 0;
    const bool first = cborx_get(r->args, "after") == NULL;
    if (!arg_uint_or(r, a, "after", 0, &after)) return;
    put_host(&a->w, "host", s, all && first);
    if (all && first) put_policy_info(&a->w, "policy", s);
    if (a->w.failed) return; /* not to be taken for a VM that does not fit */
    a->w.size_bytes -= TAIL_BYTES;
    bool more = false;
    cborx_put_array(&a->w, "vms");
    for (uint32_t i = 0; i < snap->vm_count && !more; i++) {
        if (snap->vm[i].id <= after) continue;
        struct cborx_mark mark = cborx_mark(&a->w);
        put_vm(&a->w, NULL, &snap->vm[i], all);
        more = a->w.failed;
        if (more) {
            cborx_rewind(&a->w, mark);
        } else {
            last = snap->vm[i].id;
        }
    }
    a->w.size_bytes += TAIL_BYTES;
    cborx_end(&a->w);
    if (more) cborx_put_uint(&a->w, "more", last);
}

void verb_list(struct steward *s, const struct request *r, struct answer *a)
{
    put_vms(s, r, a, false);
}

void verb_snapshot(struct steward *s, const struct request *r, struct answer *a)
{
    put_vms(s, r, a, true);
}

void verb_stats(struct steward *s, const struct request *r, struct answer *a)
{
    enum { PER_ANSWER = 64 };
    uint64_t after, index;
    if (!arg_uint_or(r, a, "after", 0, &after)) return;
    cborx_put_array(&a->w, "stats");
    for (index = after; index < after + PER_ANSWER; index++) {
        struct tithe_mgmt *m = mgmt_begin(TITHE_OP_STATS, r, false);
        m->u.stat.index = (uint32_t)index;
        if (index > UINT32_MAX || s->machine->mgmt(m) < 0) break;
        cborx_put_array(&a->w, NULL);
        put_text_bytes(&a->w, NULL, m->u.stat.name, sizeof m->u.stat.name);
        cborx_put_uint(&a->w, NULL, m->u.stat.value);
        cborx_end(&a->w);
    }
    cborx_end(&a->w);
    if (index == after + PER_ANSWER) cborx_put_uint(&a->w, "more", index);
}

static void put_event(struct cborx_writer *w, const struct tithe_event *e)
{
    cborx_put_map(w, NULL);
    cborx_put_uint(w, "seq", e->seq);
    cborx_put_uint(w, "ns", e->ns);
    cborx_put_text(w, "kind", name_of_event(e->kind));
    if (e->vm != 0) cborx_put_uint(w, "vm", e->vm);
    cborx_put_uint(w, "value", e->value);
    cborx_put_uint(w, "value2", e->value2);
    if (e->text[0] != 0) put_text_bytes(w, "text", e->text, sizeof e->text);
    cborx_end(w);
}

void verb_events(struct steward *s, const struct request *r, struct answer *a)
{
    enum { PER_ANSWER = 24 }; /* fewer than 300 bytes each */
    uint64_t seq;
    if (!arg_uint(r, a, "seq", &seq)) return;
    cborx_put_array(&a->w, "events");
    for (unsigned i = 0; i < PER_ANSWER; i++) {
        struct tithe_mgmt *m = mgmt_begin(TITHE_OP_EVENT_READ, r, false);
        m->u.event.seq = seq;
        if (s->machine->mgmt(m) < 0) break;
        put_event(&a->w, &m->u.event);
        seq = m->u.event.seq + 1;
    }
    cborx_end(&a->w);
    cborx_put_uint(&a->w, "next", seq);
}

void verb_ledger(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_LEDGER, r, false);
    if (!mgmt_call(s, m, a, "ledger")) return;
    const struct tithe_ledger *l = &m->u.ledger;
    cborx_put_uint(&a->w, "total_pages", l->total_pages);
    cborx_put_uint(&a->w, "free_pages", l->free_pages);
    cborx_put_uint(&a->w, "core_pages", l->core_pages);
    cborx_put_uint(&a->w, "table_pages", l->table_pages);
    cborx_put_uint(&a->w, "guest_pages", l->guest_pages);
    cborx_put_uint(&a->w, "ballooned_entries", l->ballooned_entries);
    cborx_put_uint(&a->w, "swapped_entries", l->swapped_entries);
    cborx_put_uint(&a->w, "compressed_entries", l->compressed_entries);
    cborx_put_uint(&a->w, "differences", l->differences);
    put_text_bytes(&a->w, "first", l->first, sizeof l->first);
}

void verb_log(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_LOG_READ, r, false);
    if (!arg_uint(r, a, "offset", &m->u.io.offset)) return;
    m->u.io.length = TITHE_IO_MAX;
    if (!mgmt_call(s, m, a, "log") || m->u.io.length > TITHE_IO_MAX) return;
    cborx_put_uint(&a->w, "offset", m->u.io.offset);
    cborx_put_uint(&a->w, "total", m->u.io.total);
    cborx_put_bytes(&a->w, "data", m->u.io.data, m->u.io.length);
}

void verb_shutdown(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_SHUTDOWN, r, true);
    if (!arg_uint_or(r, a, "code", 0, &m->u.set.value)) return;
    if (m->u.set.value > 127) {
        answer_fail(a, "out-of-range", "code", "", "an exit status lies between 0 and 127");
        return;
    }
    mgmt_call(s, m, a, "shutdown");
}

/* The core does not remember this one, so the steward notes that it was asked. */
void verb_steward_kill(struct steward *s, const struct request *r, struct answer *a)
{
    if (policies_attempt(&s->policies, (struct policy_by){r->session, r->id})) {
        cborx_put_bool(&a->w, "repeated", true);
    } else {
        mgmt_call(s, mgmt_begin(TITHE_OP_KILL_STEWARD, r, false), a, "steward-kill");
    }
}
