/* SPDX-License-Identifier: MIT
 *
 * Host swap's place in the boot CPU's loop: what plans want of it, the reserve rule, and who is woken.
 */
#ifndef TITHE_VM_PAGING_H
#define TITHE_VM_PAGING_H

#include "vm/vm.h"

/* Takes the first swap partition there is. Boot CPU, once, after disk_init. */
void paging_init(void);
/* Boot CPU, in its loop between turns. Returns when to come again at the latest. */
uint64_t paging_poll(uint64_t now_ns);
/* Stores may have more than plans want: what is in them goes on to swap. Boot CPU. */
void paging_want_evicted(void);
/* So many pages of the VM are to go out, picked by `pick`, or to come in, instead of what was wanted before. Boot CPU. */
void paging_want_out(struct vm *vm, uint64_t pages, enum swap_pick pick);
void paging_want_in(struct vm *vm, uint64_t pages);

#endif
