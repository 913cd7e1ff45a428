/* SPDX-License-Identifier: MIT
 *
 * The worker on one thread, and on another the boot CPU, which makes VMs, asks for work, and ends VMs in the middle of it. A step
 * for a VM that is gone is a race or a use after free, which ThreadSanitizer sees; work that is lost, a wait without end.
 */
#include "mem/sample.h"
#include "vm/event.h"
#include "vm/vm_table.h"
#include "vm/work.h"
#include "x86/percpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#define VMS    6u
#define ROUNDS 200000u

static bool over;

/* ---- what work.c calls; a VM's work is a number of steps in p2m.pops ---- */

static uint64_t left(struct p2m *p2m)
{
    return __atomic_load_n(&p2m->pops, __ATOMIC_RELAXED);
}

void sample_stop(struct p2m *p2m)
{
    __atomic_store_n(&p2m->pops, 0, __ATOMIC_RELAXED);
}

bool sample_step(struct p2m *p2m, uint64_t now_ns, uint64_t cpu_ns)
{
    uint64_t n = left(p2m);

    (void)now_ns, (void)cpu_ns;
    p2m->first_touches++; /* not atomic: nobody else may be here */
    if (n && !__atomic_compare_exchange_n(&p2m->pops, &n, n - 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return true;
    return n > 1;
}

void p2m_populate(struct p2m *p2m, uint64_t pages)
{
    (void)p2m, (void)pages;
}

struct p2m_populated p2m_populate_step(struct p2m *p2m)
{
    (void)p2m;
    return (struct p2m_populated){0};
}

void event_emit(enum tithe_event_kind kind, uint32_t vm, uint64_t value, uint64_t value2, const char *fmt,
                ...)
{
    (void)kind, (void)vm, (void)value, (void)value2, (void)fmt;
}

void sched_init(struct sched_entity *e, uint32_t cpu, uint32_t weight, enum sched_kind kind)
{
    (void)e, (void)cpu, (void)weight, (void)kind;
}

void sched_wake(struct sched_entity *e)
{
    (void)e;
}

uint64_t time_now_ns(void)
{
    return 0;
}

uint32_t percpu_count(void)
{
    return 2;
}

bool p2m_recolour_step(struct p2m *p2m)
{
    (void)p2m;
    return false;
}

void p2m_recolour_stop(struct p2m *p2m)
{
    (void)p2m;
}

void vm_remap(struct vm *of, uint64_t pages, uint64_t least_copies)
{
    (void)of, (void)pages, (void)least_copies;
}
void vm_vacate(struct vm *of, uint64_t pages, bool cold)
{
    (void)of, (void)pages, (void)cold;
}
bool vm_move_step(struct vm *of)
{
    (void)of;
    return false;
}
uint32_t share_scan(struct p2m *p2m, struct share_scan *scan, uint32_t pages)
{
    (void)p2m, (void)scan;
    return pages;
}

/* ---- the two threads ---- */

static void *work(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        if (!work_step()) sched_yield();
    }
    return NULL;
}

static uint64_t rng = 88172645463325252ull;

static uint64_t below(uint64_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return rng % n;
}

static void ask(struct vm *vm)
{
    __atomic_store_n(&vm->p2m.pops, 1 + below(20), __ATOMIC_RELAXED);
    work_post(vm);
}

static void end(struct vm *vm)
{
    work_cancel(vm);
    if (below(4) == 0) sched_yield();
    vm->p2m.first_touches = 0; /* the worker is done with it */
    vm_table_drop(vm);
    free(vm);
}

static void finish(struct vm *vm)
{
    while (left(&vm->p2m)) sched_yield();
}

int main(void)
{
    pthread_t worker;

    work_init();
    pthread_create(&worker, NULL, work, NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t place = below(VMS);
        struct vm *vm = vm_at(place);
        if (!vm) {
            vm = calloc(1, sizeof(*vm));
            vm->slot = (uint16_t)(place + 1);
            vm_table_put(vm);
            ask(vm);
        } else if (below(3) == 0) {
            end(vm);
        } else {
            ask(vm);
            if (below(50) == 0) finish(vm); /* what is asked for is done */
        }
    }
    for (size_t i = 0; i < VMS; i++) {
        if (vm_at(i)) finish(vm_at(i));
        if (vm_at(i)) end(vm_at(i));
    }
    __atomic_store_n(&over, true, __ATOMIC_RELAXED);
    pthread_join(worker, NULL);
    printf("1..1\nok 1 - no step for a VM that is gone, and none is lost\n");
    return work_waiting();
}
