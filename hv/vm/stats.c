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
#include "vm/vm.h"
#include "x86/percpu.h"
#include "x86/time.h"

/* Over all VMs that there are, of a counter that `of` reads. */
static uint64_t sum(uint64_t (*of)(const struct vm *vm))
{
    uint64_t total = 0;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        const struct vm *vm = vm_at(place);
        total += vm != NULL ? of(vm) : 0;
    }
    return total;
}

static uint64_t touches(const struct vm *vm)
{
    return vm->p2m.first_touches;
}
static uint64_t pops(const struct vm *vm)
{
    return vm->p2m.pops;
}
static uint64_t inflated(const struct vm *vm)
{
    return vm->platform.balloon.inflated_pfns;
}
static uint64_t deflated(const struct vm *vm)
{
    return vm->platform.balloon.deflated_pfns;
}
static uint64_t messages(const struct vm *vm)
{
    return vm->platform.balloon.messages;
}
static uint64_t flushes(const struct vm *vm)
{
    return vm->tlb_generation;
}
static uint64_t touches_all(void)
{
    return sum(touches);
}
static uint64_t pops_all(void)
{
    return sum(pops);
}
static uint64_t inflated_all(void)
{
    return sum(inflated);
}
static uint64_t deflated_all(void)
{
    return sum(deflated);
}
static uint64_t messages_all(void)
{
    return sum(messages);
}
static uint64_t flushes_all(void)
{
    return sum(flushes);
}
static uint64_t log_waits(void)
{
    return lock_contended(&serial_lock);
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
    {"first_touches", touches_all},
    {"balloon.pops", pops_all},
    {"balloon.inflated_pages", inflated_all},
    {"balloon.deflated_pages", deflated_all},
    {"balloon.messages", messages_all},
    {"map.flushes", flushes_all},
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
};

/* ---- of each CPU ---- */

static uint64_t guest_ns(uint32_t cpu)
{
    return percpu_of(cpu)->guest_ns;
}
static uint64_t steward_ns(uint32_t cpu)
{
    return percpu_of(cpu)->steward_ns;
}
static uint64_t idle_ns(uint32_t cpu)
{
    return percpu_of(cpu)->idle_ns;
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
    {"", ".idle_ns", idle_ns},
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

/* ---- exits ---- */

static uint64_t exits_of_kind(int kind)
{
    uint64_t total = 0;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        const struct vm *vm = vm_at(place);
        total += vm != NULL ? vm->ended_exits[kind] : 0;
        for (uint32_t i = 0; vm != NULL && i < vm->vcpu_count; i++) {
            total += vm->vcpu[i]->exits[kind];
        }
    }
    return total;
}

bool stats_get(struct tithe_stat *stat)
{
    if (stat->index < ARRAY_LEN(counters)) {
        fmt_string(stat->name, sizeof stat->name, "%s", counters[stat->index].name);
        stat->value = counters[stat->index].value();
        return true;
    }
    const uint32_t kind = stat->index - (uint32_t)ARRAY_LEN(counters),
                   cpus = percpu_count() * (uint32_t)ARRAY_LEN(cpu_counters);
    if (kind >= EXIT_KINDS) {
        const uint32_t more = kind - EXIT_KINDS;
        return more < cpus ? cpu_counter(stat, more) : vm_counter(stat, more - cpus);
    }
    fmt_string(stat->name, sizeof stat->name, "exits.%s", exit_name((enum exit_kind)kind));
    stat->value = exits_of_kind((int)kind);
    return true;
}
