/* SPDX-License-Identifier: MIT
 *
 * Debug builds only, by words on the command line: `self-test` tries protection, ring 3, timer and FPU
 * switch, says "self-test: passed" and leaves; `self-test=smp` starts the other CPUs and kicks them (`refuse=ID`: the one with
 * this APIC id says no); `self-test=echo` sends back what comes over the serial line, until an EOT. `panic-test` panics,
 * `panic-test=fault` by a page fault, `panic-test=stack` by an overflow of the stack, `panic-test=smp` on all CPUs at once,
 * `panic-test=one` on the last while the first one logs.
 * `smp-test=WHAT:N` makes trouble with the CPU that is in place N, from 0, of ACPI's list: it is not woken (`silent`), woken
 * after it was given up (`late`), stops in the middle (`stuck`), has other
 * memory types (`mtrr`), its TSC seems ahead (`skew`).
 */
#ifndef TITHE_BOOT_SELFTEST_H
#define TITHE_BOOT_SELFTEST_H

#include <stdbool.h>

void selftest(void);

/* In selftest_smp.c. */
void selftest_smp(void);
_Noreturn void selftest_smp_panic(bool all);
/* Returns how many kicks were lost. */
unsigned selftest_kicks(void);

#endif
