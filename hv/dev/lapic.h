/* SPDX-License-Identifier: MIT
 *
 * A local APIC, xAPIC and x2APIC (SDM 3A 11). Pure model: no privileged code, no clock of its own. Every call, and every look at
 * another vCPU's, is under the VM's device lock; only `tpr` is also written without it, by the CPU that runs its vCPU (CR8).
 */
#ifndef TITHE_DEV_LAPIC_H
#define TITHE_DEV_LAPIC_H

#include "tithe/types.h"

/* The APIC timer ticks once per nanosecond before its divider. */
#define LAPIC_TIMER_HZ 1000000000ull
#define LAPIC_BASE     0xFEE00000ull
#define NO_DEADLINE    UINT64_MAX

enum lapic_lvt { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LAPIC_LVTS };

#define LAPIC_BASE_BSP    (1ull << 8)
#define LAPIC_BASE_X2APIC (1ull << 10)
#define LAPIC_BASE_ENABLE (1ull << 11)

/* Delivery modes of interrupt messages (SDM 3A 11.6.1). */
enum lapic_mode { LAPIC_FIXED, LAPIC_LOWEST, LAPIC_SMI, LAPIC_NMI = 4, LAPIC_INIT, LAPIC_SIPI, LAPIC_EXTINT };

#define LAPIC_BROADCAST 0xFFFFFFFFu

struct platform;

struct lapic {
    struct platform *platform; /* for IPIs and EOI broadcasts */
    uint32_t id;
    uint64_t base_msr; /* IA32_APIC_BASE: enable, x2APIC, BSP bits */
    uint32_t irr[8], isr[8], tmr[8];
    uint32_t tpr, ldr, dfr, svr, esr, esr_pending;
    uint64_t icr;
    uint32_t lvt[LAPIC_LVTS];
    uint32_t timer_initial, timer_divide;
    uint64_t timer_start_ns;    /* when the count began */
    uint64_t timer_deadline_ns; /* next expiry, NO_DEADLINE when none */
    uint64_t tsc_deadline;      /* IA32_TSC_DEADLINE as the guest wrote it; 0 when disarmed */
    uint64_t eois;
};

void lapic_init(struct lapic *l, struct platform *platform, uint32_t id, bool bsp);
/* INIT: as after power-on, but the base MSR, and with it the mode, stays (SDM 3A 11.4.7.3). */
void lapic_reset(struct lapic *l);
/* Register access by offset (0x000-0x3F0, as xAPIC MMIO; x2APIC MSRs map to offset (msr - 0x800) << 4). False: not allowed (x2APIC: #GP). */
MUST_CHECK bool lapic_read(struct lapic *l, uint32_t offset, bool x2apic, uint64_t *value, uint64_t now_ns);
MUST_CHECK bool lapic_write(struct lapic *l, uint32_t offset, bool x2apic, uint64_t value, uint64_t now_ns);
/* IA32_APIC_BASE. False: #GP (a reserved bit, an impossible change of mode, or another address than LAPIC_BASE). */
MUST_CHECK bool lapic_write_base(struct lapic *l, uint64_t value);
/* IA32_TSC_DEADLINE: deadline_ns is the host time at which the guest's TSC will reach `value`. */
void lapic_write_tsc_deadline(struct lapic *l, uint64_t value, uint64_t deadline_ns);
/* A vector arrives (edge or level). */
void lapic_accept(struct lapic *l, uint8_t vector, bool level);
/* True when the guest's timer is in TSC-deadline mode: otherwise IA32_TSC_DEADLINE reads 0 and ignores writes. */
bool lapic_deadline_mode(const struct lapic *l);
/* Lets the timer fire if its time has come. */
void lapic_poll(struct lapic *l, uint64_t now_ns);
/* Highest vector the CPU should take now (priority against TPR/PPR), or -1. */
int lapic_pending(const struct lapic *l);
/* The CPU takes it: IRR to ISR. */
void lapic_take(struct lapic *l, uint8_t vector);

/* Is this LAPIC reached by a message (SDM 3A 11.6.2)? `dest` is 32 bits wide, broadcast LAPIC_BROADCAST. */
bool lapic_matches(const struct lapic *l, uint32_t dest, bool logical);
/* Ends the interrupt in service; tells the IOAPIC when it was level-triggered. */
void lapic_eoi(struct lapic *l);
/* Takes new interrupts: hardware- and software-enabled. */
bool lapic_enabled(const struct lapic *l);
/* Priority class below or at which interrupts wait. */
uint32_t lapic_ppr(const struct lapic *l);
/* The interrupt of a local vector table entry, if it is not masked. */
void lapic_local(struct lapic *l, enum lapic_lvt entry);
/* Between the files of this model: an error for ESR; a message as ICR says it; the timer after its registers changed. */
void lapic_error(struct lapic *l, uint32_t bit);
void lapic_send(struct lapic *l, uint64_t icr, bool x2apic);
void lapic_timer_arm(struct lapic *l, uint64_t now_ns);
void lapic_timer_mode_changed(struct lapic *l, uint32_t old_lvt, uint64_t now_ns);
void lapic_timer_start(struct lapic *l, uint32_t initial, uint64_t now_ns);
void lapic_timer_divide(struct lapic *l, uint32_t value, uint64_t now_ns);
uint32_t lapic_timer_count(const struct lapic *l, uint64_t now_ns);

#endif
