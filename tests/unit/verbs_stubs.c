/* SPDX-License-Identifier: MIT
 *
 * What hv/vm asks of the rest of the machine, for tests that have VMs without vCPUs: most of it is nothing here.
 */
#include "verbs.h"

#include "boot/boot_info.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/sched.h"
#include "vm/solo.h"
#include "vm/stats.h"
#include "vm/timer.h"
#include "vm/vm_boot.h"
#include "virt/vendor.h"
#include "x86/percpu.h"

const struct vendor *vendor;

bool boot_option(const char *name, char *value, size_t size)
{
    (void)name, (void)value, (void)size;
    return false;
}

bool boot_flag(const char *name)
{
    (void)name;
    return false;
}

uint32_t percpu_count(void)
{
    return CPUS;
}

void run_poke(uint32_t cpu)
{
    (void)cpu;
}

uint64_t run_slice_ns(void)
{
    return 2000000;
}

void event_emit(enum tithe_event_kind kind, uint32_t vm_id, uint64_t value, uint64_t value2, const char *fmt,
                ...)
{
    (void)vm_id, (void)value, (void)value2, (void)fmt;
    check(kind != TITHE_EVENT_SWAP_LOST || faults.fail || faults.lie || faults.lied || faults.gone,
          "gfn 0x%lx of VM %u is lost", value, vm_id);
    happened.lost += kind == TITHE_EVENT_SWAP_LOST;
    happened.write_failures += kind == TITHE_EVENT_SWAP_WRITE;
}

void event_of_guest(struct vm *vm, enum tithe_event_kind kind, uint64_t value)
{
    (void)vm, (void)kind, (void)value;
}

void sched_init(struct sched_entity *e, uint32_t cpu, uint32_t weight, enum sched_kind kind)
{
    (void)e, (void)cpu, (void)weight, (void)kind;
}

void sched_wake(struct sched_entity *e)
{
    (void)e;
}

void sched_sync(struct sched_entity *e)
{
    (void)e;
}

void sched_charge(struct sched_entity *e, uint64_t ns)
{
    (void)e, (void)ns;
}

void sched_set_weight(struct sched_entity *e, uint32_t weight)
{
    (void)e, (void)weight;
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    (void)timer, (void)deadline_ns;
}

void timer_cancel(struct timer *timer)
{
    (void)timer;
}

void vcpu_kick(struct vcpu *v)
{
    (void)v;
}

void vcpu_memory_came(struct vcpu *v)
{
    (void)v;
}

bool platform_has_work(const struct platform *p)
{
    (void)p;
    return false;
}

void platform_reset(struct platform *p, uint64_t now_ns)
{
    (void)p, (void)now_ns;
}

void platform_balloon_target(struct platform *p, uint64_t pages)
{
    (void)p, (void)pages;
}

void solo_stopped(const struct vm *vm)
{
    (void)vm;
}

void stats_vm_gone(const struct vm *vm)
{
    (void)vm;
}

int vm_load(struct vm *vm, char *reason)
{
    (void)vm, (void)reason;
    return 0;
}

void vm_free_vcpus(struct vm *vm)
{
    (void)vm;
}

void vm_free(struct vm *vm)
{
    (void)vm;
}

/* As vm/vm_create.c does. */
bool vm_reserve_swap(struct vm *vm, uint64_t min_pages, uint64_t max_pages, char *reason)
{
    const bool suspended = vm->state == TITHE_VM_SUSPENDED;
    const uint64_t there = vm->p2m.swap.pages + (suspended ? vm->p2m.present_pages : 0);

    (void)reason;
    return swap_reserve(&vm->p2m, max_pages - min_pages > there ? max_pages - min_pages : there);
}
