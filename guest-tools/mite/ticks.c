// SPDX-License-Identifier: MIT
#include "ticks.h"

#include "apic.h"
#include "attend.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "trap.h"

static volatile uint32_t tick_count;
static uint64_t last_tick;
static uint64_t longest_gap;

static void on_tick(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
    uint64_t now = rdtsc();
    if (now - last_tick > longest_gap) longest_gap = now - last_tick;
    last_tick = now;
    tick_count++;
}

static void on_wake(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

void ticks_run(uint64_t us)
{
    tick_count = 0;
    longest_gap = 0;
    uint64_t end = rdtsc() + clock_us_to_ticks(us);
    trap_on(VECTOR_TIMER, on_tick);
    last_tick = rdtsc();
    apic_timer_start_periodic(clock_apic_khz());
    while (rdtsc() < end) {
        attend();
        wait_for_interrupt();
    }
    apic_timer_stop();
    trap_on(VECTOR_TIMER, on_wake);
    say("mite: ticks count=%u expected=%llu longest_gap_us=%llu\n", tick_count, divide(us, 1000),
        clock_ticks_to_us(longest_gap));
}
