/* SPDX-License-Identifier: MIT
 *
 * A local APIC, xAPIC and x2APIC (SDM 3A 11). Pure model: no privileged code, no clock of its own.
 */
#ifndef TITHE_DEV_LAPIC_H
#define TITHE_DEV_LAPIC_H

#include "tithe/types.h"

/* The APIC timer ticks once per nanosecond before its divider. */
#define LAPIC_TIMER_HZ 1000000000ull
#define LAPIC_BASE 0xFEE00000ull
#define NO_DEADLINE UINT64_MAX

struct platform;

struct lapic {
    struct platform *platform; /* for IPIs and EOI broadcasts */
    uint32_t id;
    uint64_t base_msr;    /* IA32_APIC_BASE: enable, x2APIC, BSP bits */
    uint32_t irr[8], isr[8], tmr[8];
    uint32_t tpr, ldr, dfr, svr, esr, esr_pending;
    uint64_t icr;
    uint32_t lvt[7];      /* CMCI, timer, thermal, perf, LINT0, LINT1, error */
    uint32_t timer_initial, timer_divide;
    uint64_t timer_start_ns; /* when the count began */
    uint64_t timer_deadline_ns; /* next expiry, NO_DEADLINE when none */
    uint64_t tsc_deadline; /* IA32_TSC_DEADLINE as the guest wrote it; 0 when disarmed */
    uint64_t eois;
};

void lapic_init(struct lapic *l, struct platform *platform, uint32_t id, bool bsp);
/* Register access by offset (0x000-0x3F0, as xAPIC MMIO; x2APIC MSRs map to offset (msr - 0x800) << 4). False: not allowed (x2APIC: #GP). */
MUST_CHECK bool lapic_read(struct lapic *l, uint32_t offset, bool x2apic, uint64_t *value, uint64_t now_ns);
MUST_CHECK bool lapic_write(struct lapic *l, uint32_t offset, bool x2apic, uint64_t value, uint64_t now_ns);
MUST_CHECK bool lapic_write_base(struct lapic *l, uint64_t value);
/* IA32_TSC_DEADLINE: deadline_ns is the host time at which the guest's TSC will reach `value`. */
void lapic_write_tsc_deadline(struct lapic *l, uint64_t value, uint64_t deadline_ns);
/* A vector arrives (edge or level). */
void lapic_accept(struct lapic *l, uint8_t vector, bool level);
/* Lets the timer fire if its time has come. */
void lapic_poll(struct lapic *l, uint64_t now_ns);
/* Highest vector the CPU should take now (priority against TPR/PPR), or -1. */
int lapic_pending(const struct lapic *l);
/* The CPU takes it: IRR to ISR. */
void lapic_take(struct lapic *l, uint8_t vector);

#endif
