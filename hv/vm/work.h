/* SPDX-License-Identifier: MIT
 *
 * What plans ask for that takes long is done in the background: by the worker, which is scheduled like a VM of the usual CPU shares
 * with one vCPU, on any CPU, and works in steps of some ten microseconds, for one VM after the other.
 *
 * A VM lives at least as long as a step for it lasts. The boot CPU takes the VM out of the set of those with work and
 * then waits till the worker is at another or none; the worker says whose step it begins, and then looks whether that VM still is in
 * the set. With all four accesses in one total order one sees the other. A step waits for nobody but vCPUs that are to leave their guest
 * (vm/world.h), so it ends.
 */
#ifndef TITHE_VM_WORK_H
#define TITHE_VM_WORK_H

#include "vm/sched.h"
#include "vm/vm.h"

/* Once, at start. */
void work_init(void);
/* Boot CPU: so many pages are to be scanned; 0: none any more. To be posted. */
void work_scan(struct vm *vm, uint64_t pages, enum share_order order);
uint64_t work_scan_left(const struct vm *vm);
/* Boot CPU: something has been asked for. */
void work_post(struct vm *vm);
/* Boot CPU, without any lock: nothing is done for the VM on return, what was asked for is forgotten, and nothing will be till
 * work_post. */
void work_cancel(struct vm *vm);
/* ---- for vm/run.c ---- */

bool work_waiting(void);
/* A step for the next VM. False: there is none. One CPU at a time. */
bool work_step(void);

#endif
