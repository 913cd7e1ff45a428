/* SPDX-License-Identifier: MIT
 *
 * Which pages of a VM move into the memory that disks can address, and which move out of it: what plans ask for (TITHE_VERB_REMAP,
 * TITHE_VERB_VACATE), done by the worker.
 */
#ifndef TITHE_VM_VM_MOVE_H
#define TITHE_VM_VM_MOVE_H

#include "tithe/types.h"

struct vm;

/* A plan's numbers are set by the boot CPU and counted down by the worker, the VM's lock being that of its map. */
struct vm_moves {
    uint64_t remap_left, remap_least; /* pages to be tried; copies that each must have had */
    bool remap_begins;
    uint64_t vacate_left, vacate_looked;
    bool vacate_cold;
    gfn_t cursor;
    /* Ever: pages moved; pages that could not be, for they were in use, or no frame was found. */
    uint64_t remapped, vacated, busy, no_frame;
    uint64_t remap_ticks; /* of the TSC, that remapping took */
};

/* Instead of what was asked for before; 0 pages: nothing. Boot CPU; to be posted (vm/work.h). */
void vm_remap(struct vm *vm, uint64_t pages, uint64_t least_copies);
void vm_vacate(struct vm *vm, uint64_t pages, bool cold);
void vm_moves(struct vm *vm, struct vm_moves *out);
/* The worker: a step of up to 32 pages each way. False: nothing is left to do. */
bool vm_move_step(struct vm *vm);

#endif
