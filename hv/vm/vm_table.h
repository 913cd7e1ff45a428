/* SPDX-License-Identifier: MIT
 *
 * The set of VMs, for those who change it (vm/vm.h has the look-ups).
 */
#ifndef TITHE_VM_VM_TABLE_H
#define TITHE_VM_VM_TABLE_H

#include "vm/vm.h"

/* A free slot (1 .. TITHE_VMS_MAX), or 0 when the table is full. */
uint16_t vm_table_free_slot(void);
void vm_table_put(struct vm *vm);
void vm_table_drop(struct vm *vm);

/* Sets of VMs in which any CPU leaves what the boot CPU is to do. */
struct vm_set {
    uint64_t slots[TITHE_VMS_MAX / 64];
};
extern struct vm_set vms_pending;        /* vm->pending says what */
extern struct vm_set vms_without_memory; /* with vCPUs, or a disk, that wait for frames */

void vm_set_add(struct vm_set *set, const struct vm *vm);
void vm_set_remove(struct vm_set *set, const struct vm *vm);
bool vm_set_has(const struct vm_set *set, size_t place);
bool vm_set_empty(const struct vm_set *set);
/* Boot CPU: empties it, and calls `act` for each that is still there. */
void vm_set_take(struct vm_set *set, void (*act)(struct vm *vm));

#endif
