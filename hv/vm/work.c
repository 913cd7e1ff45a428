/* SPDX-License-Identifier: MIT */
#include "vm/work.h"

#include "mem/sample.h"
#include "vm/event.h"
#include "vm/vm_move.h"
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
    p2m_recolour_stop(&vm->p2m);
    work_scan(vm, 0, SHARE_RANDOM);
    vm_remap(vm, 0, 0);
    vm_vacate(vm, 0, false);
    do { /* a step that was under way may have added it again, but no later one does */
        vm_set_remove(&busy, vm);
        while (__atomic_load_n(&place, __ATOMIC_SEQ_CST) == vm->slot - 1u) cpu_pause();
    } while (vm_set_has(&busy, vm->slot - 1u));
}

/* ---- scans ---- */

#define ORDER_SHIFT 56u
#define PAGES_LEFT  ((1ull << ORDER_SHIFT) - 1)

void work_scan(struct vm *vm, uint64_t pages, enum share_order order)
{
    __atomic_store_n(&vm->scan_request, (uint64_t)order << ORDER_SHIFT | pages, __ATOMIC_RELEASE);
}

uint64_t work_scan_left(const struct vm *vm)
{
    return __atomic_load_n(&vm->scan_request, __ATOMIC_ACQUIRE) & PAGES_LEFT;
}

/* False: nothing is left to do. */
static bool scan_step(struct vm *vm)
{
    uint64_t request = __atomic_load_n(&vm->scan_request, __ATOMIC_ACQUIRE), left = request & PAGES_LEFT;
    if (left == 0) return false;
    if (request != vm->scan_seen) {
        vm->scan.order = (enum share_order)(request >> ORDER_SHIFT);
        vm->scan_until = vm->scan.passes + 2; /* the pass under way, and a whole one */
    }
    left -= share_scan(&vm->p2m, &vm->scan, left < SHARE_SCAN_MAX ? (uint32_t)left : SHARE_SCAN_MAX);
    if (vm->scan.passes >= vm->scan_until) left = 0;
    vm->scan_seen = (request & ~PAGES_LEFT) | left;
    const bool kept = __atomic_compare_exchange_n(&vm->scan_request, &request, vm->scan_seen, false,
                                                  __ATOMIC_RELEASE, __ATOMIC_RELAXED);
    return left != 0 || !kept;
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
    const bool scans = scan_step(vm);
    const bool recolours = p2m_recolour_step(&vm->p2m), moves = vm_move_step(vm);
    return samples || scans || recolours || moves || populated.more;
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
