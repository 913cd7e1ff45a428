/* SPDX-License-Identifier: MIT
 *
 * Time is the TSC. Nanoseconds count from the first instruction of the core and never run backwards.
 */
#ifndef TITHE_X86_TIME_H
#define TITHE_X86_TIME_H

#include "tithe/types.h"

#ifndef NO_DEADLINE
#define NO_DEADLINE UINT64_MAX
#endif

/* Calibrates the TSC and this CPU's timer. Panics when there is no clock to measure against. */
void time_init(void);
/* This CPU's timer only, after time_init on the boot CPU. */
void time_cpu_init(void);

uint64_t tsc_hz(void);
uint64_t time_now_ns(void);
/* Conversions of durations: exact to the last nanosecond or tick, no overflow below 2^64 results. */
uint64_t tsc_to_ns(uint64_t ticks);
uint64_t ns_to_tsc(uint64_t ns);
/* TSC value at which time_now_ns() was 0, and the TSC at an instant of time_now_ns's clock. */
uint64_t tsc_at_boot(void);
uint64_t tsc_at(uint64_t now_ns);

/* This CPU's timer interrupt (IRQ_VECTOR_TIMER) comes at `deadline_ns`, at once when that is past. It may
 * come early (a far deadline does not fit every timer): look at the clock and arm again. Replaces the last
 * deadline; NO_DEADLINE disarms. Cheap when nothing changes. */
void time_arm(uint64_t deadline_ns);

/* Nanoseconds since 1970 at time_now_ns() == 0, from the battery clock. */
uint64_t wall_ns_at_boot(void);

/* Busy wait, for devices at boot. */
void time_delay_ns(uint64_t ns);

#endif
