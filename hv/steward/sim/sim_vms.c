/* SPDX-License-Identifier: MIT
 *
 * Simulated VMs: management, and guests whose working sets move.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "names.h"
#include "sim.h"
#include "text.h"

#define NS_PER_S 1000000000ull
#define STEP_NS  (NS_PER_S / 10)
#define BALLOON_RATE                                                                                         \
    16384.0 /* pages per second, as the published driver of the paper's authors at its best */
#define SIZE_MAX_PAGES  (1ull << 28)
#define SHARES_MAX      1000000u
#define CPU_SHARES      1000u /* of a VM that was given none */
#define STATS_PERIOD_NS NS_PER_S

uint32_t sim_find(const struct sim *sim, uint32_t id)
{
    uint32_t i = 0;
    while (i < sim->snap.vm_count && sim->snap.vm[i].id != id) i++;
    return i;
}

void sim_retarget(struct sim *sim, uint32_t index, uint64_t target_pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[index];
    vm->target_pages = target_pages;
    vm->balloon_target_pages = vm->size_pages - target_pages;
}

/* ---- Guests ------------------------------------------------------------- */

double sim_uniform(struct sim *sim)
{
    return (double)(sim_random(sim) >> 11) * 0x1p-53;
}

static void think(struct sim *sim, uint32_t i)
{
    struct sim_guest *g = &sim->guests[i];
    double size = (double)sim->snap.vm[i].size_pages;
    g->goal_pages = size * (0.1 + 0.85 * sim_uniform(sim));
    g->rate = size / (5 + 20 * sim_uniform(sim));
    g->change_ns = sim->snap.now_ns + (uint64_t)((20 + 60 * sim_uniform(sim)) * (double)NS_PER_S);
    sim_disk_begin(sim, i);
}

static double toward(double from, double to, double step)
{
    return fabs(to - from) <= step ? to : from + (to > from ? step : -step);
}

static void tell_stats(struct sim *sim, uint32_t i)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct tithe_guest_stats *g = &vm->guest;
    uint64_t total = vm->size_pages - vm->balloon_actual_pages, used = (uint64_t)sim->guests[i].demand_pages;
    memset(g, 0xff, sizeof *g);
    g->updated_ns = sim->snap.now_ns;
    g->total_pages = total;
    g->available_pages = used < total ? total - used : 0;
    g->free_pages = vm->consumed_pages < total ? total - vm->consumed_pages : 0;
}

static void live(struct sim *sim, uint32_t i, double seconds)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct sim_guest *g = &sim->guests[i];
    if (vm->state != TITHE_VM_RUNNING) return;
    if (sim->snap.now_ns >= g->change_ns) think(sim, i);
    g->demand_pages = toward(g->demand_pages, g->goal_pages, g->rate * seconds);
    double balloon =
        toward((double)vm->balloon_actual_pages, (double)vm->balloon_target_pages, BALLOON_RATE * seconds);
    if (vm->balloon_driver) vm->balloon_actual_pages = vm->ballooned_pages = (uint64_t)balloon;
    uint64_t room = vm->size_pages - vm->ballooned_pages;
    uint64_t want = g->demand_pages < (double)room ? (uint64_t)g->demand_pages : room;
    sim_touch(sim, i, want);
    if (vm->consumed_pages > room + vm->store_pages) vm->consumed_pages = room + vm->store_pages;
    sim_use_memory(sim, i, seconds);
    vm->exits += 1000;
    if (sim->snap.now_ns - vm->guest.updated_ns >= STATS_PERIOD_NS) tell_stats(sim, i);
    sim_account(sim);
}

/* ---- CPUs --------------------------------------------------------------- */

/* Guests are busy all the time; of each CPU they get so much, by shares, and the steward of the first one so much. */
#define GUESTS_PERCENT  75u
#define STEWARD_PERCENT 1u

/* vCPU `v` of the VM in place `vm` always runs on the same CPU. */
static uint32_t home(const struct sim *sim, uint32_t vm, uint64_t v)
{
    return (uint32_t)((vm + v) % sim->snap.cpus);
}

static void share_cpus(struct sim *sim, uint64_t step_ns)
{
    struct tithe_snapshot *s = &sim->snap;
    double weights[TITHE_CPUS_MAX] = {0};
    uint64_t used[TITHE_CPUS_MAX] = {0};
    for (uint32_t i = 0; i < s->vm_count; i++) {
        const struct tithe_vm_snapshot *vm = &s->vm[i];
        for (uint64_t v = 0; v < vm->vcpus && vm->state == TITHE_VM_RUNNING; v++)
            weights[home(sim, i, v)] += (double)vm->cpu_shares / (double)vm->vcpus;
    }
    for (uint32_t i = 0; i < s->vm_count; i++) {
        struct tithe_vm_snapshot *vm = &s->vm[i];
        for (uint64_t v = 0; v < vm->vcpus && vm->state == TITHE_VM_RUNNING; v++) {
            const uint32_t cpu = home(sim, i, v);
            const double part = (double)vm->cpu_shares / (double)vm->vcpus / weights[cpu];
            const uint64_t ns = (uint64_t)(part * (double)(step_ns * GUESTS_PERCENT / 100));
            vm->vcpu[v].cpu_ns += ns;
            vm->vcpu[v].cpu = cpu;
            vm->cpu_ns += ns;
            used[cpu] += ns;
        }
    }
    for (uint64_t i = 0; i < s->cpus; i++) {
        const uint64_t steward_ns = i == 0 ? step_ns * STEWARD_PERCENT / 100 : 0;
        const uint64_t idle_ns = step_ns - used[i] - steward_ns;
        s->cpu[i].guest_ns += used[i];
        s->cpu[i].steward_ns += steward_ns;
        s->cpu[i].idle_ns += idle_ns;
        s->idle_ns += idle_ns;
    }
}

void sim_pass(struct sim *sim, uint64_t to_ns)
{
    while (sim->snap.now_ns < to_ns) {
        uint64_t step_ns = to_ns - sim->snap.now_ns < STEP_NS ? to_ns - sim->snap.now_ns : STEP_NS;
        sim->snap.now_ns += step_ns;
        sim->snap.wall_ns += step_ns;
        for (uint32_t i = 0; i < sim->snap.vm_count; i++) live(sim, i, (double)step_ns / (double)NS_PER_S);
        share_cpus(sim, step_ns);
    }
}

/* ---- Management --------------------------------------------------------- */

static bool image_is_there(const struct sim *sim, const char *name)
{
    for (uint32_t i = 0; i < sim->image_count; i++) {
        if (sim->images[i].about.sealed && strcmp(sim->images[i].about.name, name) == 0) return true;
    }
    return false;
}

static int64_t check_create(struct sim *sim, struct tithe_mgmt *m)
{
    const struct tithe_create *c = &m->u.create;
    const struct tithe_snapshot *s = &sim->snap;
    for (uint32_t i = 0; i < s->vm_count; i++) {
        if (strcmp(s->vm[i].name, c->name) != 0) continue;
        sim_why(m, "there is a VM '%s' already; choose another name, or destroy that one", c->name);
        return -TITHE_EEXIST;
    }
    const char *missing = !image_is_there(sim, c->kernel)                        ? c->kernel
                          : c->module[0] != 0 && !image_is_there(sim, c->module) ? c->module
                                                                                 : NULL;
    if (missing != NULL) {
        sim_why(m, "there is no image '%s'; 'tithe images' lists those there are", missing);
        return -TITHE_ENOENT;
    }
    if (c->size_pages == 0 || c->size_pages > SIZE_MAX_PAGES || c->max_pages > c->size_pages ||
        c->min_pages > c->max_pages || c->shares == 0 || c->shares > SHARES_MAX ||
        c->cpu_shares > SHARES_MAX) {
        sim_why(m, "0 < size, min <= max <= size, shares and CPU shares from 1 to %u are the rules",
                SHARES_MAX);
        return -TITHE_EINVAL;
    }
    if (c->vcpus == 0 || c->vcpus > TITHE_VCPUS_MAX) {
        sim_why(m, "%u vCPUs: a VM has 1 to %u", c->vcpus, TITHE_VCPUS_MAX);
        return -TITHE_EINVAL;
    }
    uint64_t promised = c->min_pages + c->size_pages / 512 + 64;
    for (uint32_t i = 0; i < s->vm_count; i++) promised += s->vm[i].min_pages + s->vm[i].overhead_pages;
    if (promised > s->total_pages - s->core_pages - s->reserve_pages) {
        sim_why(m, "minimum and overhead of all VMs would be %llu pages of %llu; lower a minimum or the size",
                (unsigned long long)promised,
                (unsigned long long)(s->total_pages - s->core_pages - s->reserve_pages));
        return -TITHE_ENOMEM;
    }
    if (c->max_pages - c->min_pages > s->swap_pages - s->swap_reserved_pages) {
        sim_why(m, "max less min does not fit in swap; raise min or lower max");
        return -TITHE_ENOMEM;
    }
    if (s->vm_count == TITHE_VMS_MAX) {
        sim_why(m, "there are %u VMs, as many as there may be", TITHE_VMS_MAX);
        return -TITHE_ENOSPC;
    }
    return 0;
}

static int64_t create(struct sim *sim, struct tithe_mgmt *m)
{
    struct tithe_create *c = &m->u.create;
    int64_t error = check_create(sim, m);
    if (error < 0) return error;
    uint32_t i = sim->snap.vm_count++;
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct sim_guest *g = &sim->guests[i];
    memset(vm, 0, sizeof *vm);
    memset(g, 0, sizeof *g);
    c->id = vm->id = ++sim->next_id;
    text_copy(vm->name, sizeof vm->name, c->name);
    vm->state = c->paused ? TITHE_VM_PAUSED : TITHE_VM_RUNNING;
    vm->size_pages = c->size_pages;
    vm->max_pages = c->max_pages;
    vm->min_pages = c->min_pages;
    vm->swap_reserved_pages = c->max_pages - c->min_pages;
    vm->shares = c->shares;
    vm->cpu_shares = c->cpu_shares != 0 ? c->cpu_shares : CPU_SHARES;
    vm->overhead_pages = c->size_pages / 512 + 64;
    vm->balloon_driver = sim->snap.vm_count <= sim->options.drivers;
    vm->avoids_double_paging = 1;
    vm->created_ns = sim->snap.now_ns;
    vm->vcpus = c->vcpus;
    if (c->disk[0] != 0) vm->disk.sectors = 2048; /* of whatever name */
    for (uint64_t v = 0; v < vm->vcpus; v++) vm->vcpu[v].state = TITHE_VCPU_RUNNABLE;
    sim_retarget(sim, i, c->max_pages);
    think(sim, i);
    char hello[96];
    snprintf(hello, sizeof hello, "%s: simulated guest, %llu pages\r\n", vm->name,
             (unsigned long long)vm->size_pages);
    sim_text_put(&g->console, hello, strlen(hello));
    vm->console_offset = g->console.end;
    sim_account(sim);
    sim_event(sim, TITHE_EVENT_VM_CREATED, vm->id, 0, 0, vm->name);
    return 0;
}

static int64_t destroy(struct sim *sim, uint32_t i)
{
    sim_event(sim, TITHE_EVENT_VM_DESTROYED, sim->snap.vm[i].id, 0, 0, sim->snap.vm[i].name);
    uint32_t after = --sim->snap.vm_count - i;
    memmove(&sim->snap.vm[i], &sim->snap.vm[i + 1], after * sizeof sim->snap.vm[0]);
    memmove(&sim->guests[i], &sim->guests[i + 1], after * sizeof sim->guests[0]);
    sim_account(sim);
    return 0;
}

static int64_t set_state(struct sim *sim, struct tithe_mgmt *m, struct tithe_vm_snapshot *vm, uint32_t from,
                         uint32_t to)
{
    if (vm->state != from) {
        sim_why(m, "VM '%s' is %s", vm->name, name_of_state(vm->state));
        return -TITHE_EINVAL;
    }
    vm->state = to;
    sim_event(sim, to == TITHE_VM_PAUSED ? TITHE_EVENT_VM_PAUSED : TITHE_EVENT_VM_UNPAUSED, vm->id, 0, 0,
              vm->name);
    return 0;
}

static int64_t set_target(struct sim *sim, struct tithe_mgmt *m, uint32_t i)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    uint64_t pages = m->u.set.value;
    if (pages != TITHE_AUTO && (pages < vm->min_pages || pages > vm->max_pages)) {
        sim_why(m, "the target must lie between min, %llu, and max, %llu pages",
                (unsigned long long)vm->min_pages, (unsigned long long)vm->max_pages);
        return -TITHE_ERANGE;
    }
    vm->held = pages != TITHE_AUTO;
    if (vm->held) sim_retarget(sim, i, pages);
    return 0;
}

static int64_t set_group(struct sim *sim, struct tithe_mgmt *m, uint32_t i)
{
    if (m->u.set.value > TITHE_SHARE_GROUPS_MAX) {
        sim_why(m, "share groups are 1 to %u, or 0 for none", TITHE_SHARE_GROUPS_MAX);
        return -TITHE_ERANGE;
    }
    sim->snap.vm[i].share_group = m->u.set.value;
    return 0;
}

static int64_t set_bound(struct sim *sim, struct tithe_mgmt *m, uint32_t i)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    uint64_t value = m->u.set.value;
    bool ok = m->op == TITHE_OP_SET_MAX   ? value >= vm->min_pages && value <= vm->size_pages
              : m->op == TITHE_OP_SET_MIN ? value <= vm->max_pages
                                          : value >= 1 && value <= SHARES_MAX;
    if (!ok) {
        sim_why(m, "min <= max <= size (%llu pages), shares and CPU shares from 1 to %u are the rules",
                (unsigned long long)vm->size_pages, SHARES_MAX);
        return -TITHE_ERANGE;
    }
    uint64_t *field = m->op == TITHE_OP_SET_MAX          ? &vm->max_pages
                      : m->op == TITHE_OP_SET_MIN        ? &vm->min_pages
                      : m->op == TITHE_OP_SET_CPU_SHARES ? &vm->cpu_shares
                                                         : &vm->shares;
    *field = value;
    vm->swap_reserved_pages = vm->max_pages - vm->min_pages;
    sim_account(sim);
    if (vm->target_pages > vm->max_pages) sim_retarget(sim, i, vm->max_pages);
    if (vm->target_pages < vm->min_pages) sim_retarget(sim, i, vm->min_pages);
    return 0;
}

static int64_t suspend_op(struct sim *sim, struct tithe_mgmt *m, uint32_t i)
{
    if (sim->snap.vm[i].state == TITHE_VM_STOPPED) {
        sim_why(m, "VM '%s' has ended", sim->snap.vm[i].name);
        return -TITHE_EBUSY;
    }
    sim_suspend(sim, i);
    return 0;
}

static int64_t resume_op(struct sim *sim, struct tithe_mgmt *m, uint32_t i)
{
    if (sim_resume(sim, i, m->u.set.value)) return 0;
    sim_why(m, "VM '%s' is not suspended", sim->snap.vm[i].name);
    return -TITHE_EBUSY;
}

int64_t sim_vm_op(struct sim *sim, struct tithe_mgmt *m)
{
    if (m->op == TITHE_OP_CREATE) return create(sim, m);
    uint32_t i = sim_find(sim, m->vm);
    if (i == sim->snap.vm_count) {
        sim_why(m, "there is no such VM");
        return -TITHE_ENOENT;
    }
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    switch (m->op) {
    case TITHE_OP_DESTROY: return destroy(sim, i);
    case TITHE_OP_SUSPEND: return suspend_op(sim, m, i);
    case TITHE_OP_RESUME: return resume_op(sim, m, i);
    case TITHE_OP_PAUSE: return set_state(sim, m, vm, TITHE_VM_RUNNING, TITHE_VM_PAUSED);
    case TITHE_OP_UNPAUSE: return set_state(sim, m, vm, TITHE_VM_PAUSED, TITHE_VM_RUNNING);
    default: break;
    }
    int64_t error = m->op == TITHE_OP_SET_TARGET  ? set_target(sim, m, i)
                    : m->op == TITHE_OP_SET_GROUP ? set_group(sim, m, i)
                                                  : set_bound(sim, m, i);
    if (error == 0) sim_event(sim, TITHE_EVENT_VM_CHANGED, vm->id, m->op, m->u.set.value, vm->name);
    return error;
}
