/* SPDX-License-Identifier: MIT
 *
 * Instead of x86/percpu.h, which is behind GS: one CPU.
 */
#ifndef TITHE_X86_PERCPU_H
#define TITHE_X86_PERCPU_H

#include "tithe/types.h"

#define CPUS_MAX 1u

struct percpu {
    uint32_t index;
    bool resched;
};

struct percpu *this_cpu(void);
struct percpu *percpu_of(uint32_t index);

#endif
