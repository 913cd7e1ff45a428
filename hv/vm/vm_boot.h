/* SPDX-License-Identifier: MIT
 *
 * Steps of a VM's life that creation and reboot share.
 */
#ifndef TITHE_VM_VM_BOOT_H
#define TITHE_VM_VM_BOOT_H

#include "vm/vm.h"

/* Resets vCPUs and writes ACPI tables and images into empty memory: the guest is at its entry. 0, or a
 * TITHE_E number and a reason. */
int vm_load(struct vm *vm, char *reason);
/* Lets the vCPUs of a paused VM run. */
void vm_start(struct vm *vm);
/* None of them has run since vm_start or the last pause. */
void vm_free_vcpus(struct vm *vm);
/* Of each vCPU: its part of the VM's CPU shares. */
uint32_t vm_vcpu_weight(const struct vm *vm);
void vm_free(struct vm *vm);

#endif
