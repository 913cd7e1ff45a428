/* SPDX-License-Identifier: MIT
 *
 * The CPUs that a test of hv/vm plays: one at first.
 */
#ifndef TITHE_TESTS_VM_CPUS_H
#define TITHE_TESTS_VM_CPUS_H

#include "tithe/types.h"

/* From now on there are `count`, as new and never kicked, and this thread is CPU 0. */
void cpus_reset(uint32_t count);
/* This thread goes on as CPU `index`. */
void cpus_be(uint32_t index);
/* Kicks of that CPU by others since the last question. */
unsigned cpus_kicks(uint32_t index);

/* Called at each smp_kick of another CPU; NULL: nothing more than counting. */
extern void (*cpus_on_kick)(uint32_t index);

#endif
