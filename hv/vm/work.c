/* SPDX-License-Identifier: MIT */
#include "vm/work.h"

#include "mem/sample.h"
#include "vm/event.h"
#include "vm/vm_table.h"
#include "x86/cpu.h"
#include "x86/percpu.h"
#include "x86/time.h"

#define NOBODY UINT32_MAX

static struct sched_entity worker;
static struct vm_set busy;      /* VMs with work */
static uint32_t place = NOBODY; /* in the table, of the VM whose step is under way */
static uint32_t last;           /* ... of the last one */

void work_init(void)
{
    sched_init(&worker, percpu_count() - 1, SCHED_WEIGHT, SCHED_WORKER);
}

void work_post(struct vm *vm)
{
    vm_set_add(&busy, vm);
    sched_wake(&worker);
}

void work_cancel(struct vm *vm)
{
    sample_stop(&vm->p2m);
    p2m_populate(&vm->p2m, 0);
    do { /* a step that was under way may have added it again, but no later one does */
        vm_set_remove(&busy, vm);
        while (__atomic_load_n(&place, __ATOMIC_SEQ_CST) == vm->slot - 1u) cpu_pause();
    } while (vm_set_has(&busy, vm->slot - 1u));
}

static uint64_t vm_cpu_ns(const struct vm *vm)
{
    uint64_t ns = vm->ended_cpu_ns;
    for (uint32_t i = 0; i < vm->vcpu_count; i++) ns += vm->vcpu[i]->sched.cpu_ns;
    return ns;
}

/* False: nothing is left to do. */
static bool step(struct vm *vm)
{
    const bool samples = sample_step(&vm->p2m, time_now_ns(), vm_cpu_ns(vm));
    const struct p2m_populated populated = p2m_populate_step(&vm->p2m);
    if (populated.ended) {
        event_emit(TITHE_EVENT_VM_POPULATED, vm->id, populated.given, populated.missing,
                   "%s: %llu pages, %llu could not be", vm->name, (unsigned long long)populated.given,
                   (unsigned long long)populated.missing);
    }
    return samples || populated.more;
}

/* The VM after the last one that has work; it is `place` now, and lives till that is another. */
static struct vm *next_vm(void)
{
    for (uint32_t i = 1; i <= TITHE_VMS_MAX; i++) {
        const uint32_t next = (last + i) % TITHE_VMS_MAX;
        if (!vm_set_has(&busy, next)) continue;
        last = next;
        __atomic_store_n(&place, next, __ATOMIC_SEQ_CST);
        if (vm_set_has(&busy, next)) return vm_at(next);
        __atomic_store_n(&place, NOBODY, __ATOMIC_RELEASE);
    }
    return NULL;
}

bool work_waiting(void)
{
    return !vm_set_empty(&busy);
}

bool work_step(void)
{
    struct vm *vm = next_vm();
    if (vm == NULL) return false;
    /* Out of the set first: who posts meanwhile adds it again. */
    vm_set_remove(&busy, vm);
    if (step(vm)) vm_set_add(&busy, vm);
    __atomic_store_n(&place, NOBODY, __ATOMIC_RELEASE);
    return true;
}
