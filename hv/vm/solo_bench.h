/* SPDX-License-Identifier: MIT
 *
 * What the worker's mechanisms cost, measured where they run and without the scheduler: with the word `solo_bench` on the command
 * line a solo guest has them carried out by saying so, and the log tells the TSC ticks per page, as mite does:
 *
 *   bench-scan    all VMs are in one group, and each is scanned once, the solo one first
 *   bench-abit    a period of sampling of the solo VM by accessed bits ends, and the next begins
 *   bench-unmap   the same by faults
 *   bench-compress  the solo VM's pages go into its store; without a swap partition, those that cannot be compressed stay
 *   bench-swap    half of the solo VM's pages are to go to swap; the counters swap.* tell
 *   bench-colour  from now on the solo VM's frames are of every other colour
 */
#ifndef TITHE_VM_SOLO_BENCH_H
#define TITHE_VM_SOLO_BENCH_H

#include "tithe/types.h"

struct vm;

/* A line of the solo VM's. Boot CPU, the device lock held; there is no other CPU. */
void solo_bench(struct vm *vm, const char *text, size_t bytes);

#endif
