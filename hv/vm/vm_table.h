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

#endif
