/* SPDX-License-Identifier: MIT */
#include "sample.h"

#include <string.h>

#include "fields.h"

static void copy(char *to, size_t n, const cbor_item_t *map, const char *key)
{
    if (!cborx_text(cborx_get(map, key), to, n)) *to = '\0';
}

static uint64_t or_unknown(const cbor_item_t *map, const char *key)
{
    return field_given(map, key) ? field_uint(map, key) : SAMPLE_UNKNOWN;
}

static void read_vm(const cbor_item_t *m, struct vm_sample *vm)
{
    const cbor_item_t *guest = cborx_get(m, "guest"), *sampled = cborx_get(m, "sample");

    vm->id = field_uint(m, "id");
    copy(vm->name, sizeof vm->name, m, "name");
    copy(vm->state, sizeof vm->state, m, "state");
    copy(vm->stop_reason, sizeof vm->stop_reason, m, "stop_reason");
    vm->size_pages = field_uint(m, "size_pages");
    vm->min_pages = field_uint(m, "min_pages");
    vm->max_pages = field_uint(m, "max_pages");
    vm->shares = field_uint(m, "shares");
    vm->vcpus = field_uint(m, "vcpus");
    vm->cpu_shares = field_uint(m, "cpu_shares");
    vm->target_pages = field_uint(m, "target_pages");
    vm->consumed_pages = field_uint(m, "consumed_pages");
    vm->held = field_bool(m, "held");
    vm->balloon_driver = field_bool(m, "balloon_driver");
    vm->balloon_target_pages = field_uint(m, "balloon_target_pages");
    vm->balloon_actual_pages = field_uint(m, "balloon_actual_pages");
    vm->swapped_pages = field_uint(m, "swapped_pages");
    vm->swap_out_wanted = field_uint(m, "swap_out_wanted");
    vm->swapped_in = field_uint(m, "swapped_in");
    vm->compressed_pages = field_uint(m, "compressed_pages");
    vm->store_pages = field_uint(m, "store_pages");
    vm->first_touches = field_uint(m, "first_touches");
    vm->balloon_pops = field_uint(m, "balloon_pops");
    vm->exits = field_uint(m, "exits");
    vm->cpu_ns = field_uint(m, "cpu_ns");
    vm->exit_code = field_uint(m, "exit_code");
    vm->shared_pages = field_uint(m, "shared_pages");
    vm->cow_breaks = field_uint(m, "cow_breaks");
    vm->sampled_pages = field_uint(sampled, "finished_pages");
    vm->touched_pages = field_uint(sampled, "finished_touched");
    vm->guest_free_pages = or_unknown(guest, "free_pages");
    vm->guest_available_pages = or_unknown(guest, "available_pages");
}

static void read_cpus(const cbor_item_t *h, struct sample *s)
{
    size_t i;

    s->cpu_count = field_count(h, "cpu");
    if (s->cpu_count > TITHE_CPUS_MAX) s->cpu_count = TITHE_CPUS_MAX;
    for (i = 0; i < s->cpu_count; i++) {
        const cbor_item_t *m = field_at(h, "cpu", i);

        s->cpu[i].guest_ns = field_uint(m, "guest_ns");
        s->cpu[i].steward_ns = field_uint(m, "steward_ns");
        s->cpu[i].idle_ns = field_uint(m, "idle_ns");
    }
}

static void read_host(const cbor_item_t *h, const cbor_item_t *policy, struct sample *s)
{
    read_cpus(h, s);
    s->now_ns = field_uint(h, "now_ns");
    s->idle_ns = field_uint(h, "idle_ns");
    s->cpus = field_uint(h, "cpus");
    s->total_pages = field_uint(h, "total_pages");
    s->free_pages = field_uint(h, "free_pages");
    s->reserve_pages = field_uint(h, "reserve_pages");
    s->core_pages = field_uint(h, "core_pages");
    s->overhead_pages = field_uint(h, "overhead_pages");
    s->guest_pages = field_uint(h, "guest_pages");
    s->event_seq = field_uint(h, "event_seq");
    s->steward_restarts = field_uint(h, "steward_restarts");
    s->boot_id = field_uint(h, "boot_id");
    copy(s->vendor, sizeof s->vendor, h, "vendor");
    copy(s->machine, sizeof s->machine, h, "machine");
    copy(s->policy, sizeof s->policy, h, "policy");
    s->policy_trial = field_bool(policy, "trial");
    s->policy_trial_left = field_uint(policy, "trial_left");
    copy(s->policy_error, sizeof s->policy_error, policy, "last_error");
}

enum status sample_take(struct client *c, struct sample *s, struct listing *raw, struct error *e)
{
    struct listing own, *l = raw != NULL ? raw : &own;
    enum status status = listing_get(l, c, "snapshot", "vms", e);
    size_t i;

    memset(s, 0, sizeof *s);
    if (status == STATUS_OK) {
        read_host(listing_field(l, "host"), listing_field(l, "policy"), s);
        s->vm_count = listing_count(l);
        if (s->vm_count > TITHE_VMS_MAX) s->vm_count = TITHE_VMS_MAX;
        for (i = 0; i < s->vm_count; i++) read_vm(listing_at(l, i), &s->vm[i]);
    }
    if (raw == NULL) listing_free(l);
    return status;
}

const struct vm_sample *sample_vm(const struct sample *s, uint64_t id)
{
    size_t i;

    for (i = 0; i < s->vm_count; i++)
        if (s->vm[i].id == id) return &s->vm[i];
    return NULL;
}

double sample_overcommit(const struct sample *s)
{
    uint64_t sum = 0;
    size_t i;

    for (i = 0; i < s->vm_count; i++)
        if (strcmp(s->vm[i].state, "stopped") != 0) sum += s->vm[i].size_pages;
    return s->total_pages > 0 ? (double)sum / (double)s->total_pages : 0;
}
