/* SPDX-License-Identifier: MIT */
#include "vm_cpus.h"

#include "vm/run.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/time.h"

void (*cpus_on_kick)(uint32_t index);

static struct percpu cpus[CPUS_MAX];
static unsigned kicks[CPUS_MAX];
static uint32_t cpu_count = 1;
static _Thread_local uint32_t me;

void cpus_reset(uint32_t count)
{
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        cpus[i] = (struct percpu){.index = i, .timer_deadline_ns = NO_DEADLINE, .timers_ns = NO_DEADLINE};
        kicks[i] = 0;
    }
    cpu_count = count;
    me = 0;
}

void cpus_be(uint32_t index)
{
    me = index;
}

uint32_t cpu_index(void)
{
    return me;
}

struct percpu *this_cpu(void)
{
    return &cpus[me];
}

struct percpu *percpu_of(uint32_t index)
{
    return &cpus[index];
}

uint32_t percpu_count(void)
{
    return cpu_count;
}

void time_arm(uint64_t deadline_ns)
{
    cpus[me].timer_deadline_ns = deadline_ns;
}

uint64_t run_slice_ns(void)
{
    return 2000000;
}

unsigned cpus_kicks(uint32_t index)
{
    return __atomic_exchange_n(&kicks[index], 0, __ATOMIC_SEQ_CST);
}

void smp_kick(uint32_t index)
{
    if (index == me) {
        return;
    }
    __atomic_fetch_add(&kicks[index], 1, __ATOMIC_SEQ_CST);
    if (cpus_on_kick != NULL) {
        cpus_on_kick(index);
    }
}

/* At once, for these CPUs have no loop. */
void smp_kick_later(uint32_t index)
{
    smp_kick(index);
}

void smp_send_kicks(void) {}
