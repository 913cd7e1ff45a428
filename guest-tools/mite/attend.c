// SPDX-License-Identifier: MIT
#include "attend.h"

#include "apic.h"
#include "balloon.h"
#include "clock.h"
#include "cpu.h"
#include "smp.h"

static uint64_t poll_ticks;
static uint64_t next_poll;
static enum timer_mode timer_mode = TIMER_DEADLINE;

void attend_every_us(uint64_t us)
{
    poll_ticks = clock_us_to_ticks(us);
}

void attend_sleep_with(enum timer_mode mode)
{
    timer_mode = mode;
}

static bool attends(void)
{
    return poll_ticks != 0 && smp_this() == 0 && balloon_present();
}

void attend(void)
{
    if (!attends() || rdtsc() < next_poll) return;
    balloon_service();
    next_poll = rdtsc() + poll_ticks;
}

void sleep_until(uint64_t deadline)
{
    for (;;) {
        attend();
        if (rdtsc() >= deadline) break;
        uint64_t wake = deadline;
        if (attends() && next_poll < wake) wake = next_poll;
        apic_timer_wake_at(wake, timer_mode);
        wait_for_interrupt();
    }
    apic_timer_stop();
}

void spin_until(uint64_t deadline)
{
    while (rdtsc() < deadline) {
        attend();
        pause();
    }
}
