// SPDX-License-Identifier: MIT
// Time is the TSC. Its frequency is what the hypervisor says, or else measured against the PIT.
#ifndef MITE_CLOCK_H
#define MITE_CLOCK_H

#include <stdint.h>

// The hypervisor's timing leaf: EAX = TSC kHz, EBX = APIC timer kHz.
#define CPUID_HYPERVISOR 0x40000000
#define CPUID_TIMING     0x40000010

void clock_init(void);

uint32_t clock_tsc_khz(void);

// Frequency of the local APIC timer with divisor 1.
uint32_t clock_apic_khz(void);

// "cpuid", "pit", or "guess" if there was neither.
const char *clock_source(void);

// Saturates at 2^64-1.
uint64_t clock_us_to_ticks(uint64_t us);

uint64_t clock_ticks_to_us(uint64_t ticks);

#endif
