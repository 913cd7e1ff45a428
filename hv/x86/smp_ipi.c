/* SPDX-License-Identifier: MIT
 *
 * What CPUs send each other: kicks, and the end.
 */
#include "x86/smp.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/irq.h"
#include "x86/percpu.h"

/* How long to wait for the line, and for the others to stop. Not by the clock, which a panic may come before. */
#define LINE_TURNS 1000000u
#define STOP_TURNS 10000000u

#define NOBODY UINT32_MAX

static uint32_t stopper = NOBODY; /* who has stopped all others */
static uint32_t stopped;          /* how many have */

static void on_kick(void)
{
    this_cpu()->resched = true;
}

void smp_ipi_init(void)
{
    irq_register(IRQ_VECTOR_KICK, on_kick);
}

void smp_kick(uint32_t index)
{
    const struct percpu *cpu = percpu_of(index);

    if (cpu != NULL && cpu != this_cpu()) apic_send(cpu->apic_id, IRQ_VECTOR_KICK);
}

void smp_kick_later(uint32_t index)
{
    this_cpu()->kicks |= 1ull << index;
    this_cpu()->errands = true;
}

void smp_send_kicks(void)
{
    uint64_t kicks = this_cpu()->kicks;

    this_cpu()->kicks = 0;
    for (; kicks != 0; kicks &= kicks - 1) smp_kick((uint32_t)__builtin_ctzll(kicks));
}

_Noreturn static void stop_here(void)
{
    __atomic_fetch_add(&stopped, 1, __ATOMIC_RELEASE);
    cpu_halt();
}

void smp_nmi(void)
{
    const uint32_t who = __atomic_load_n(&stopper, __ATOMIC_ACQUIRE);

    if (who != NOBODY && who != this_cpu()->index) stop_here();
}

/* For good. Whoever has it may be what went wrong: patience ends. */
static void take_line(void)
{
    const uint16_t ticket = __atomic_fetch_add(&serial_lock.next, 1, __ATOMIC_RELAXED);

    for (uint32_t i = 0; i < LINE_TURNS && __atomic_load_n(&serial_lock.serving, __ATOMIC_ACQUIRE) != ticket;
         i++)
        cpu_pause();
}

void smp_stop_others(void)
{
    const uint32_t me = this_cpu()->index;
    uint32_t before = NOBODY, others = 0;

    if (__atomic_load_n(&stopper, __ATOMIC_ACQUIRE) == me) return;
    take_line();
    if (!__atomic_compare_exchange_n(&stopper, &before, me, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
        stop_here();
    for (uint32_t i = 0; i < percpu_count(); i++) {
        if (i == me) continue;
        apic_send_nmi(percpu_of(i)->apic_id);
        others++;
    }
    uint32_t have = 0;
    for (uint32_t i = 0; i < STOP_TURNS && have < others; i++) {
        cpu_pause();
        have = __atomic_load_n(&stopped, __ATOMIC_ACQUIRE);
    }
    if (have < others) log_line_panic("tithe: %u of %u other CPUs do not stop", others - have, others);
}
