/* SPDX-License-Identifier: MIT
 *
 * Host interrupts. The core runs with interrupts off; they are taken while a guest runs, in ring 3, and in
 * cpu_idle.
 */
#ifndef TITHE_X86_IRQ_H
#define TITHE_X86_IRQ_H

#include "tithe/types.h"

/* Vectors of the host. 0x20-0x2f: the masked legacy controllers' spurious ones. */
enum irq_vector {
    IRQ_VECTOR_ISA = 0x30,      /* + ISA line, 16 of them */
    IRQ_VECTOR_TIMER = 0xec,    /* this CPU's timer: see time_arm */
    IRQ_VECTOR_KICK = 0xed,     /* from another CPU: look again at what there is to do */
    IRQ_VECTOR_ERROR = 0xfe,    /* local APIC error */
    IRQ_VECTOR_SPURIOUS = 0xff, /* not acknowledged */
};

/* Legacy controllers off, I/O APICs found and masked; once, after acpi_init. */
void irq_init(void);

/* `handler` runs for each interrupt with this vector, interrupts off, possibly in the middle of cpu_idle or
 * inside vendor->run, never inside other core code. It must not wait for another CPU. One table serves all CPUs. */
void irq_register(uint8_t vector, void (*handler)(void));

/* Handles an interrupt that has been accepted: runs the handler, sends EOI. Called by the interrupt table,
 * and by virt/vmx for one that was acknowledged on VM exit. */
void irq_dispatch(uint8_t vector);

/* Sends ISA line `line` (0-15, after the MADT's overrides) to this CPU as IRQ_VECTOR_ISA + line and unmasks
 * it. False: there is no I/O APIC with that pin. */
MUST_CHECK bool irq_enable_isa(uint8_t line);

#endif
