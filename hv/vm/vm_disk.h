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
/* platform_ops.disk_start */
enum blk_start vm_disk_start(void *ctx, struct blk_request *r);

#endif
