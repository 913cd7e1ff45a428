/* SPDX-License-Identifier: MIT */
#include "vm/stats.h"

#include "drv/disk.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "mem/frame.h"
#include "steward/core/steward.h"
#include "vm/event.h"
#include "vm/exits.h"
#include "vm/plan.h"
#include "vm/run.h"
#include "vm/vm.h"
#include "x86/percpu.h"
#include "x86/time.h"

/* ---- of all VMs that there have been ---- */

/* Nothing but a uint64_t has a place here. */
#define OF_VM(name, member)                                                                                  \
    {                                                                                                        \
        name, _Generic(((struct vm *)0)->member, uint64_t : offsetof(struct vm, member))                     \
    }

static const struct {
    const char *name;
    size_t at; /* a uint64_t in struct vm */
} vm_sums[] = {
    OF_VM("first_touches", p2m.first_touches),
    OF_VM("balloon.pops", p2m.pops),
    OF_VM("balloon.inflated_pages", platform.balloon.inflated_pfns),
    OF_VM("balloon.deflated_pages", platform.balloon.deflated_pfns),
    OF_VM("balloon.reported_pages", platform.balloon.reported_pages),
    OF_VM("balloon.messages", platform.balloon.messages),
    OF_VM("map.flushes", tlb_generation),
    OF_VM("share.pages_scanned", p2m.sharing.scanned),
    OF_VM("share.pages_hit", p2m.sharing.hits),
    OF_VM("share.hints_hit", p2m.sharing.hint_hits),
    OF_VM("share.pages_copied", p2m.sharing.breaks),
    OF_VM("disk.direct_pieces", io.direct_pieces),
    OF_VM("disk.copied_pieces", io.copied_pieces),
    OF_VM("disk.remapped_pages", moves.remapped),
    OF_VM("disk.remap_tsc", moves.remap_ticks),
    OF_VM("disk.vacated_pages", moves.vacated),
    OF_VM("swap.pages_out", p2m.swap.outs),
    OF_VM("swap.pages_in", p2m.swap.ins),
    OF_VM("swap.writes_avoided", p2m.swap.writes_avoided),
    OF_VM("swap.reads_avoided", p2m.swap.reads_avoided),
    OF_VM("swap.pages_unwritten", p2m.swap.unwritten),
    OF_VM("compress.pages_tried", p2m.store.tried),
    OF_VM("compress.pages_poor", p2m.store.poor),
    OF_VM("compress.pages_expanded", p2m.store.hits),
    OF_VM("compress.pages_evicted", p2m.store.evicted),
    OF_VM("compress.expands_avoided", p2m.store.expands_avoided),
};

#define VM_SUMS ((uint32_t)(ARRAY_LEN(vm_sums) + EXIT_KINDS))

/* Of VMs that have been destroyed. */
static uint64_t gone[VM_SUMS];

static uint64_t of_vm(const struct vm *vm, uint32_t which)
{
    if (which < ARRAY_LEN(vm_sums)) {
        return *(const uint64_t *)((const char *)vm + vm_sums[which].at);
    }
    const uint32_t kind = which - (uint32_t)ARRAY_LEN(vm_sums);
    uint64_t exits = vm->ended_exits[kind];
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        exits += vm->vcpu[i]->exits[kind];
    }
    return exits;
}

void stats_vm_gone(const struct vm *vm)
{
    for (uint32_t which = 0; which < VM_SUMS; which++) {
        gone[which] += of_vm(vm, which);
    }
}

static void vm_sum(struct tithe_stat *stat, uint32_t which)
{
    const bool exits = which >= ARRAY_LEN(vm_sums);
    fmt_string(stat->name, sizeof stat->name, "%s%s", exits ? "exits." : "",
               exits ? exit_name((enum exit_kind)(which - ARRAY_LEN(vm_sums))) : vm_sums[which].name);
    stat->value = gone[which];
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        stat->value += vm_at(place) != NULL ? of_vm(vm_at(place), which) : 0;
    }
}

/* ---- of the machine ---- */

static uint64_t log_waits(void)
{
    return lock_contended(&serial_lock);
}

static struct swap_counts swap_now(void)
{
    struct swap_counts c;
    swap_counts(&c);
    return c;
}
static uint64_t swap_errors(void)
{
    return swap_now().errors;
}
static uint64_t swap_corrupt(void)
{
    return swap_now().corrupt;
}
static uint64_t swap_out_ticks(void)
{
    return swap_now().out_ticks;
}
static uint64_t swap_in_ticks(void)
{
    return swap_now().in_ticks;
}
static uint64_t swap_bad(void)
{
    return swap_now().bad;
}

static uint64_t table_pages(void)
{
    struct frame_counts f;
    frames_counts(&f);
    return f.table;
}

static const struct {
    const char *name;
    uint64_t (*value)(void);
} counters[] = {
    {"map.table_pages", table_pages},
    {"plan.applied", plans_applied},
    {"plan.refused", plans_refused},
    {"policy.reload_tsc", policy_reload_ticks},
    {"policy.ticks", policy_ticks},
    {"policy.tick_last_tsc", policy_tick_last},
    {"steward.restarts", steward_restarts},
    {"serial.rx_dropped_bytes", serial_rx_dropped},
    {"host.tsc_hz", tsc_hz},
    /* Of locks: how often somebody had to wait. */
    {"lock.frames", frames_contended},
    {"lock.events", events_contended},
    {"lock.log", log_waits},
    {"lock.disk", disk_contended},
    {"lock.swap", swap_contended},
    {"swap.requests", swap_completions},
    {"swap.errors", swap_errors},
    {"swap.corrupt_pages", swap_corrupt},
    {"swap.bad_slots", swap_bad},
    {"swap.out_tsc", swap_out_ticks},
    {"swap.in_tsc", swap_in_ticks},
};

/* ---- of each CPU ---- */

static uint64_t guest_ns(uint32_t cpu)
{
    return percpu_of(cpu)->turns_ns[SCHED_VCPU];
}
static uint64_t steward_ns(uint32_t cpu)
{
    return percpu_of(cpu)->turns_ns[SCHED_STEWARD];
}
static uint64_t worker_ns(uint32_t cpu)
{
    return percpu_of(cpu)->turns_ns[SCHED_WORKER];
}
static uint64_t interrupts(uint32_t cpu)
{
    return percpu_of(cpu)->interrupts;
}

static const struct {
    const char *before, *after; /* of "cpuN" in its name */
    uint64_t (*value)(uint32_t cpu);
} cpu_counters[] = {
    {"", ".guest_ns", guest_ns},
    {"", ".steward_ns", steward_ns},
    {"", ".worker_ns", worker_ns},
    {"", ".idle_ns", run_idle_ns},
    {"", ".interrupts", interrupts},
    {"lock.", ".sched", sched_contended},
    {"lock.", ".timers", timers_contended},
    {"lock.", ".frames", frame_stock_contended},
};

static bool cpu_counter(struct tithe_stat *stat, uint32_t index)
{
    const uint32_t cpu = index / ARRAY_LEN(cpu_counters), which = index % ARRAY_LEN(cpu_counters);
    if (cpu >= percpu_count()) {
        return false;
    }
    fmt_string(stat->name, sizeof stat->name, "%scpu%u%s", cpu_counters[which].before, cpu,
               cpu_counters[which].after);
    stat->value = cpu_counters[which].value(cpu);
    return true;
}

/* ---- of each VM: its locks ---- */

static bool vm_counter(struct tithe_stat *stat, uint32_t index)
{
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        const struct vm *vm = vm_at(place);
        if (vm == NULL) {
            continue;
        }
        if (index < 2) {
            fmt_string(stat->name, sizeof stat->name, "lock.vm%u.%s", vm->id, index == 0 ? "devices" : "p2m");
            stat->value = lock_contended(index == 0 ? &vm->platform.lock : &vm->p2m.lock);
            return true;
        }
        index -= 2;
    }
    return false;
}

bool stats_get(struct tithe_stat *stat)
{
    uint32_t index = stat->index;
    if (index < ARRAY_LEN(counters)) {
        fmt_string(stat->name, sizeof stat->name, "%s", counters[index].name);
        stat->value = counters[index].value();
        return true;
    }
    index -= (uint32_t)ARRAY_LEN(counters);
    if (index < VM_SUMS) {
        vm_sum(stat, index);
        return true;
    }
    index -= VM_SUMS;
    const uint32_t cpus = percpu_count() * (uint32_t)ARRAY_LEN(cpu_counters);
    return index < cpus ? cpu_counter(stat, index) : vm_counter(stat, index - cpus);
}
