/* SPDX-License-Identifier: MIT
 *
 * Instead of x86/percpu.h: one CPU.
 */
#ifndef TITHE_X86_PERCPU_H
#define TITHE_X86_PERCPU_H

#include "tithe/types.h"

struct percpu {
    bool resched;
};
struct percpu *this_cpu(void);

#endif
