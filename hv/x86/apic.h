/* SPDX-License-Identifier: MIT
 *
 * The host's local APIC, as xAPIC or x2APIC (SDM 3A 11).
 */
#ifndef TITHE_X86_APIC_H
#define TITHE_X86_APIC_H

#include "tithe/types.h"

/* Switches this CPU's local APIC on: x2APIC where there is one. */
void apic_init(void);
uint32_t apic_id(void);
void apic_eoi(void);
/* Fixed interrupt to one CPU. */
void apic_send(uint32_t dest_apic_id, uint8_t vector);

/* The timer, for x86/time.c. Oneshot counts down from `count` at the bus clock, divided by 1; 0 stops it. */
void apic_timer_oneshot(uint32_t count);
uint32_t apic_timer_remaining(void);
void apic_timer_mode_deadline(void);

#endif
