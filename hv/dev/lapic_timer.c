/* SPDX-License-Identifier: MIT
 *
 * The local APIC's timer (SDM 3A 11.5.4): one-shot, periodic, TSC deadline.
 */
#include "dev/lapic.h"

#define LVT_MASKED    (1u << 16)
#define MODE_MASK     (3u << 17)
#define MODE_PERIODIC (1u << 17)
#define MODE_DEADLINE (2u << 17)

/* A guest that asks for shorter periods would only starve itself (KVM has a floor as well). */
#define PERIOD_MIN_NS 50000u

static unsigned divide_shift(const struct lapic *l)
{
    const uint32_t code = (l->timer_divide & 3) | (l->timer_divide & 8) >> 1;
    return (code + 1) & 7;
}

static uint32_t mode(const struct lapic *l)
{
    return l->lvt[LVT_TIMER] & MODE_MASK;
}

static uint64_t period_ns(const struct lapic *l)
{
    return (uint64_t)l->timer_initial << divide_shift(l);
}

bool lapic_deadline_mode(const struct lapic *l)
{
    return mode(l) == MODE_DEADLINE;
}

/* Another CPU may have started the count, with a clock a little ahead of ours. */
static uint64_t running_ns(const struct lapic *l, uint64_t now_ns)
{
    return now_ns > l->timer_start_ns ? now_ns - l->timer_start_ns : 0;
}

uint32_t lapic_timer_count(const struct lapic *l, uint64_t now_ns)
{
    if (l->timer_initial == 0 || lapic_deadline_mode(l)) return 0;
    const uint64_t elapsed = running_ns(l, now_ns) >> divide_shift(l);
    if (mode(l) == MODE_PERIODIC) return l->timer_initial - (uint32_t)(elapsed % l->timer_initial);
    return elapsed < l->timer_initial ? l->timer_initial - (uint32_t)elapsed : 0;
}

void lapic_timer_arm(struct lapic *l, uint64_t now_ns)
{
    if (lapic_deadline_mode(l)) return; /* armed by lapic_write_tsc_deadline alone */
    l->timer_deadline_ns = NO_DEADLINE;
    if (l->timer_initial == 0 || (l->lvt[LVT_TIMER] & LVT_MASKED) != 0) return;
    const uint64_t period = period_ns(l);
    if (mode(l) == MODE_PERIODIC) {
        const uint64_t step = period < PERIOD_MIN_NS ? PERIOD_MIN_NS : period;
        l->timer_deadline_ns = l->timer_start_ns + (running_ns(l, now_ns) / step + 1) * step;
    } else if (running_ns(l, now_ns) < period) {
        l->timer_deadline_ns = l->timer_start_ns + period;
    }
}

void lapic_timer_mode_changed(struct lapic *l, uint32_t old_lvt, uint64_t now_ns)
{
    const bool was_deadline = (old_lvt & MODE_MASK) == MODE_DEADLINE;
    if (was_deadline != lapic_deadline_mode(l)) {
        /* Changing to or from TSC-deadline mode disarms the timer (SDM 3A 11.5.4.1). */
        l->timer_initial = 0;
        l->tsc_deadline = 0;
        l->timer_deadline_ns = NO_DEADLINE;
    }
    lapic_timer_arm(l, now_ns);
}

void lapic_timer_start(struct lapic *l, uint32_t initial, uint64_t now_ns)
{
    if (lapic_deadline_mode(l)) return;
    l->timer_initial = initial;
    l->timer_start_ns = now_ns;
    lapic_timer_arm(l, now_ns);
}

void lapic_timer_divide(struct lapic *l, uint32_t value, uint64_t now_ns)
{
    /* The count goes on from where it is, at the new speed. */
    const uint64_t counted = (uint64_t)l->timer_initial - lapic_timer_count(l, now_ns);
    l->timer_divide = value & 0xB;
    const uint64_t ns = counted << divide_shift(l);
    l->timer_start_ns = now_ns > ns ? now_ns - ns : 0;
    lapic_timer_arm(l, now_ns);
}

void lapic_write_tsc_deadline(struct lapic *l, uint64_t value, uint64_t deadline_ns)
{
    if (!lapic_deadline_mode(l)) return;
    l->tsc_deadline = value;
    l->timer_deadline_ns = value == 0 ? NO_DEADLINE : deadline_ns;
}

void lapic_poll(struct lapic *l, uint64_t now_ns)
{
    if (now_ns < l->timer_deadline_ns) return;
    l->timer_deadline_ns = NO_DEADLINE;
    l->tsc_deadline = 0;
    lapic_local(l, LVT_TIMER);
    lapic_timer_arm(l, now_ns); /* of a periodic timer; ticks nobody polled for are merged into one */
}
