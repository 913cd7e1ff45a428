/* SPDX-License-Identifier: MIT
 *
 * A VM's disk: a partition of a disk of the host. Data goes straight from and to the guest's frames where the device can address them,
 * and through a buffer below its limit where it cannot.
 */
#ifndef TITHE_VM_VM_DISK_H
#define TITHE_VM_VM_DISK_H

#include "vm/vm.h"

/* Gives a new VM the partition of this name. 0, or a TITHE_E number and a reason (TITHE_REASON_MAX bytes). Boot CPU. */
int vm_disk_open(struct vm *vm, const char *name, char *reason);
/* The VM, none of whose vCPUs runs any more, has none from now on. Before its map is forgotten: what is under way keeps its frames and
 * the partition till it ends. Boot CPU. */
void vm_disk_close(struct vm *vm);
/* How many pages have been copied 4^i times or more, as far as is remembered: of the pages copied most some hundred are, and each one's
 * count is no more than its copies. Device lock not held. */
#define VM_DISK_HOT_LEVELS 6u
void vm_disk_hot(struct vm *vm, uint64_t counts[VM_DISK_HOT_LEVELS]);
/* The most-copied pages that have not been given out since `begin`, of at least so many copies; most first. At most P2M_MOVE_MAX, and `most`
 * is not 0. Returns how many. */
uint32_t vm_disk_hot_pages(struct vm *vm, uint64_t least, bool begin, gfn_t *gfns, uint32_t most);
/* The page's copies count from 0 again. */
void vm_disk_forget_hot(struct vm *vm, gfn_t gfn);
/* platform_ops.disk_start */
enum blk_start vm_disk_start(void *ctx, struct blk_request *r);

#endif
