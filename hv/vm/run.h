/* SPDX-License-Identifier: MIT
 *
 * A CPU's endless turn: pick, run, handle, pick again.
 */
#ifndef TITHE_VM_RUN_H
#define TITHE_VM_RUN_H

#include "tithe/types.h"

/* The core's life on this CPU from the end of its start on. */
_Noreturn void run_forever(void);
/* Reads the command line, takes the timer's interrupt. */
void run_init(void);
uint64_t run_slice_ns(void);

/* How long this CPU has idled, up to now. */
uint64_t run_idle_ns(uint32_t cpu);

/* CPU `cpu`, which may be this one, goes through its loop soon. Whoever calls has written down why before. */
void run_poke(uint32_t cpu);

/* CPU time to charge the steward for a turn that began at `since_ns`. */
uint64_t run_steward_ns(uint64_t since_ns);

#endif
