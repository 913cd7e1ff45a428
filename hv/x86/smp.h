/* SPDX-License-Identifier: MIT
 *
 * The other CPUs: started once, kicked often, stopped at the end.
 */
#ifndef TITHE_X86_SMP_H
#define TITHE_X86_SMP_H

#include "tithe/types.h"

/* Starts every other CPU that ACPI lists as enabled, up to `cpus=N` of the command line, one after the other. Each comes
 * up on the core's tables with its own stack, GDT, IDT, APIC, timer and FPU, and calls ap_main, which says in
 * words why it cannot go on (then it is reported, halted and left out) or, with NULL, that it is a host now; then it
 * runs `forever`. One that does not answer, or whose TSC is out of step, is reported and left out likewise. On return
 * percpu_count() CPUs run or are about to run `forever`, numbered without gaps. */
void smp_start(const char *(*ap_main)(void), void (*forever)(void));

/* CPU `index` leaves the guest, the halt or ring 3 that it is in, as soon as it can, and looks around in its loop. No effect on
 * this CPU. Says nothing about why: whoever kicks has written that down before (with at least release order). */
void smp_kick(uint32_t index);
/* The same for whoever holds a lock, which the kicked CPU may want at once: the kick goes out with smp_send_kicks, which this CPU's loop
 * calls before it enters anybody, idles or waits for others. */
void smp_kick_later(uint32_t index);
void smp_send_kicks(void);

/* All other CPUs stop for good, wherever they are: for panic and for leaving the machine. If another CPU does the same at
 * this moment, one of them returns and the other stops. The serial line's lock is taken and kept, so that the line is
 * not cut in the middle of what somebody sends. */
void smp_stop_others(void);
/* Of smp_start: kicks are taken from now on. */
void smp_ipi_init(void);
/* An NMI has come, in whatever code: does not return if it was sent to stop this CPU. */
void smp_nmi(void);

#endif
