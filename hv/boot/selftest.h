/* SPDX-License-Identifier: MIT
 *
 * Debug builds only, by words on the command line: `self-test` tries protection, ring 3, timer and FPU
 * switch, says "self-test: passed" and leaves; `self-test=echo` sends back what comes over the serial line,
 * until an EOT; `panic-test` panics, `panic-test=fault` by a page fault, `panic-test=stack` by an overflow of
 * the stack.
 */
#ifndef TITHE_BOOT_SELFTEST_H
#define TITHE_BOOT_SELFTEST_H

void selftest(void);

#endif
