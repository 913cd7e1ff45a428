/* SPDX-License-Identifier: MIT
 *
 * Stands in for hv/x86/percpu.h where threads are CPUs: what hv/x86/lock.c needs of it.
 */
#ifndef TITHE_TESTS_MEM_HOST_PERCPU_H
#define TITHE_TESTS_MEM_HOST_PERCPU_H

#include "lib/cpu_index.h"

struct percpu {
    uint32_t index;
    uint32_t locks_held;
};

extern _Thread_local struct percpu thread_cpu;

static inline struct percpu *this_cpu(void)
{
    return &thread_cpu;
}

#endif
