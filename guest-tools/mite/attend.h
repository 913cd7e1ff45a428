// SPDX-License-Identifier: MIT
// What goes on beside the script: the first vCPU looks after the balloon while it works, spins or sleeps.
#ifndef MITE_ATTEND_H
#define MITE_ATTEND_H

#include <stdint.h>

#include "apic.h"

#define POLL_DEFAULT_US 10000

// How often the balloon's target is read. 0: never.
void attend_every_us(uint64_t us);

// The APIC timer's mode that sleep_until() uses.
void attend_sleep_with(enum timer_mode mode);

// Looks after the balloon if it is time to.
void attend(void);

// Sleeps in HLT until the TSC reaches `deadline`, attending meanwhile.
void sleep_until(uint64_t deadline);

// Burns time until the TSC reaches `deadline`, attending meanwhile.
void spin_until(uint64_t deadline);

#endif
