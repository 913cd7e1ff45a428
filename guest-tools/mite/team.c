// SPDX-License-Identifier: MIT
#include "team.h"

#include "apic.h"
#include "attend.h"
#include "clock.h"
#include "cpu.h"
#include "trap.h"

// How long the first sleeps between two looks at the others.
#define LOOK_US 1000

static uint32_t size = 1;
static void (*volatile work_of[CPUS_MAX])(uint32_t cpu);
static volatile uint32_t begun[CPUS_MAX], done[CPUS_MAX];

static void on_wake(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

static void serve(uint32_t cpu)
{
    apic_enable();
    for (;;) {
        while (begun[cpu] == done[cpu]) wait_for_interrupt();
        work_of[cpu](cpu);
        done[cpu]++;
    }
}

bool team_start(uint32_t count)
{
    trap_on(VECTOR_TEAM, on_wake);
    if (count > smp_count()) return false;
    for (; size < count; size++)
        if (!smp_start(size, serve)) return false;
    return true;
}

uint32_t team_size(void)
{
    return size;
}

void team_begin(uint32_t cpu, void (*work)(uint32_t cpu))
{
    work_of[cpu] = work;
    begun[cpu]++;
    smp_send(smp_apic_id(cpu), VECTOR_TEAM);
}

void team_end(uint32_t cpu)
{
    while (done[cpu] != begun[cpu]) sleep_until(rdtsc() + clock_us_to_ticks(LOOK_US));
}

void team_do(void (*work)(uint32_t cpu))
{
    for (uint32_t cpu = 1; cpu < size; cpu++) team_begin(cpu, work);
    work(0);
    for (uint32_t cpu = 1; cpu < size; cpu++) team_end(cpu);
}
