/* SPDX-License-Identifier: MIT
 *
 * Instead of x86/percpu.h, which is behind GS: what hv/vm uses of it, for each CPU that a test plays.
 */
#ifndef TITHE_X86_PERCPU_H
#define TITHE_X86_PERCPU_H

#include "lib/cpu_index.h"
#include "tithe/types.h"

struct percpu {
    uint32_t index;
    bool resched;
    uint64_t running_vtime;
    uint64_t timer_deadline_ns;
    bool errands;
    uint64_t timers_ns;
};

struct percpu *this_cpu(void);
struct percpu *percpu_of(uint32_t index);
uint32_t percpu_count(void);

#endif
