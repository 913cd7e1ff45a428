/* SPDX-License-Identifier: MIT
 *
 * The host's local APIC, as xAPIC or x2APIC (SDM 3A 11).
 */
#ifndef TITHE_X86_APIC_H
#define TITHE_X86_APIC_H

#include "tithe/types.h"

/* Switches this CPU's local APIC on: x2APIC where there is one. Once per CPU, the boot CPU first. */
void apic_init(void);
uint32_t apic_id(void);
/* CPUs with this id can be sent to. */
bool apic_reaches(uint32_t dest_apic_id);
void apic_eoi(void);
/* To one CPU: a fixed interrupt, NMI, INIT, or start-up at `page` << 12. What was written before is seen by its handler. */
void apic_send(uint32_t dest_apic_id, uint8_t vector);
void apic_send_nmi(uint32_t dest_apic_id);
void apic_send_init(uint32_t dest_apic_id);
void apic_send_startup(uint32_t dest_apic_id, uint8_t page);

/* The timer, for x86/time.c. Oneshot counts down from `count` at the bus clock, divided by 1; 0 stops it. */
void apic_timer_oneshot(uint32_t count);
uint32_t apic_timer_remaining(void);
void apic_timer_mode_deadline(void);

#endif
