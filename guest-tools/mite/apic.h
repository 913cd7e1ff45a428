// SPDX-License-Identifier: MIT
// The local APIC and its timer, as xAPIC or x2APIC (Intel SDM vol. 3, chapter 11).
#ifndef MITE_APIC_H
#define MITE_APIC_H

#include <stdbool.h>
#include <stdint.h>

#define APIC_BASE 0xFEE00000U

enum {
    VECTOR_TIMER = 32,
    VECTOR_TEAM = 33,
    VECTOR_PING = 34,
    VECTOR_SPURIOUS = 63,

    APIC_ID = 0x20,
    APIC_VERSION = 0x30,
    APIC_TASK_PRIORITY = 0x80,
    APIC_END_OF_INTERRUPT = 0xB0,
    APIC_LOGICAL_DESTINATION = 0xD0,
    APIC_DESTINATION_FORMAT = 0xE0,
    APIC_SPURIOUS = 0xF0,
    APIC_COMMAND_LOW = 0x300,
    APIC_COMMAND_HIGH = 0x310,
    APIC_LVT_TIMER = 0x320,
    APIC_TIMER_INITIAL = 0x380,
    APIC_TIMER_CURRENT = 0x390,
    APIC_TIMER_DIVIDE = 0x3E0,

    MSR_APIC_BASE = 0x1B,
    MSR_TSC_DEADLINE = 0x6E0,
};

// Enables the local APIC and masks the 8259s. Switches to x2APIC if `want_x2apic` and the CPU has it.
void apic_init(bool want_x2apic);

// The same for another vCPU: enables its APIC in the mode of the first.
void apic_enable(void);

bool apic_is_x2apic(void);
uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);

// Counts down once from `count` at clock_apic_khz(), then interrupts on VECTOR_TIMER.
void apic_timer_start(uint32_t count);
uint32_t apic_timer_left(void);
void apic_timer_stop(void);

// Interrupts every `count`.
void apic_timer_start_periodic(uint32_t count);

enum timer_mode { TIMER_DEADLINE, TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_MODES };

// Arms an interrupt on VECTOR_TIMER at the TSC value `deadline` or somewhat before: callers look
// at the clock after they wake. Where the CPU has no TSC deadline mode, one-shot stands in for it.
void apic_timer_wake_at(uint64_t deadline, enum timer_mode mode);

#endif
