/* SPDX-License-Identifier: MIT
 *
 * Stands in for hv/x86/cpu.h where threads are CPUs, more of them than the build host may have.
 */
#ifndef TITHE_TESTS_MEM_HOST_CPU_H
#define TITHE_TESTS_MEM_HOST_CPU_H

#include <sched.h>
#include <stdint.h>

static inline void cpu_pause(void)
{
    (void)sched_yield();
}

static inline uint64_t rdtsc(void)
{
    return 0;
}

#endif
