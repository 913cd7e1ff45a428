/* SPDX-License-Identifier: MIT
 *
 * Which CPU this is: for code without privileges that keeps something per CPU. The core asks the CPU; tests on the
 * build host say it per thread.
 */
#ifndef TITHE_LIB_CPU_INDEX_H
#define TITHE_LIB_CPU_INDEX_H

#include <stdint.h>

#define CPUS_MAX 64u

/* 0, the boot CPU, up to the number of CPUs less one. */
uint32_t cpu_index(void);

#endif
