/* SPDX-License-Identifier: MIT
 *
 * Debug builds: `self-test` on the command line makes the core try its ring 3, timer and FPU switch and
 * leave; `panic-test` makes it panic, `panic-test=fault` by an exception.
 */
#ifndef TITHE_BOOT_SELFTEST_H
#define TITHE_BOOT_SELFTEST_H

void selftest(void);

#endif
