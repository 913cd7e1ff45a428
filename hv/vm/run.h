/* SPDX-License-Identifier: MIT
 *
 * A CPU's endless turn: pick, run, handle, pick again.
 */
#ifndef TITHE_VM_RUN_H
#define TITHE_VM_RUN_H

#include "vm/vcpu.h"

/* The core's life on this CPU from the end of its start on. */
_Noreturn void run_forever(void);
/* Reads the command line, takes the timer's interrupt. */
void run_init(void);

/* CPU time to charge the steward for a turn that began at `since_ns`. */
uint64_t run_steward_ns(uint64_t since_ns);

/* The registers of the FPU become this state's; its former owner's are saved. */
void fpu_claim(struct fpu_state *state);
/* The state is about to be freed or reset: what the registers hold is nobody's. */
void fpu_disown(struct fpu_state *state);

/* Something could be injected now or when the guest allows it. */
bool vcpu_interrupt_pending(struct vcpu *v);
/* A fault found no frame: the vCPU is woken when frames are free again. */
void vcpu_waits_for_memory(struct vcpu *v);

#endif
