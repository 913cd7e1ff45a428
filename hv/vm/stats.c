/* SPDX-License-Identifier: MIT */
#include "vm/stats.h"

#include "drv/serial.h"
#include "lib/log.h"
#include "mem/frame.h"
#include "steward/core/steward.h"
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
static uint64_t lock_waits(const struct vm *vm)
{
    return vm->platform.lock.contended + vm->p2m.lock.contended;
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
static uint64_t lock_waits_all(void)
{
    return sum(lock_waits);
}
static uint64_t interrupts(void)
{
    return this_cpu()->interrupts;
}
static uint64_t idle_ns(void)
{
    return this_cpu()->idle_ns;
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
    {"lock.waits", lock_waits_all},
    {"plan.applied", plans_applied},
    {"plan.refused", plans_refused},
    {"policy.reload_tsc", policy_reload_ticks},
    {"policy.ticks", policy_ticks},
    {"policy.tick_last_tsc", policy_tick_last},
    {"steward.restarts", steward_restarts},
    {"serial.rx_dropped_bytes", serial_rx_dropped},
    {"host.interrupts", interrupts},
    {"host.idle_ns", idle_ns},
    {"host.tsc_hz", tsc_hz},
};

static uint64_t exits_of_kind(int kind)
{
    uint64_t total = 0;
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        const struct vm *vm = vm_at(place);
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
    const uint32_t kind = stat->index - (uint32_t)ARRAY_LEN(counters);
    if (kind >= EXIT_KINDS) {
        return false;
    }
    fmt_string(stat->name, sizeof stat->name, "exits.%s", exit_name((enum exit_kind)kind));
    stat->value = exits_of_kind((int)kind);
    return true;
}
