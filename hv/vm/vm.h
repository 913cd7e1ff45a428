/* SPDX-License-Identifier: MIT
 *
 * A virtual machine.
 */
#ifndef TITHE_VM_VM_H
#define TITHE_VM_VM_H

#include "dev/platform.h"
#include "lib/lock.h"
#include "mem/p2m.h"
#include "tithe/abi.h"
#include "vm/vcpu.h"

#define VCPUS_MAX 8u

struct vm {
    uint32_t id;             /* never reused; from 1 */
    uint16_t slot;           /* index in the VM table + 1: owner in the frame table */
    enum tithe_vm_state state;
    char name[TITHE_NAME_MAX];
    struct lock lock;        /* LOCK_VM */
    struct p2m p2m;
    uint64_t tlb_generation; /* grows with every flush of the map */
    struct tithe_create config;
    uint64_t max_pages, min_pages, shares, target_pages;
    bool held;
    uint64_t overhead_pages;
    uint64_t created_ns;
    enum tithe_stop stop_reason;
    uint64_t exit_code;
    uint64_t reboots;
    struct platform platform; /* every device the guest sees */
    uint32_t vcpu_count;
    struct vcpu *vcpu[VCPUS_MAX];
};

/* ---- guest memory, for devices and loaders ---- */

/* Copies between the guest's physical memory and the core, touching pages as the guest would. False when any byte is not RAM
 * (nothing is guaranteed of the rest) or no frame is free. */
MUST_CHECK bool vm_read(struct vm *vm, gpa_t gpa, void *out, size_t bytes);
MUST_CHECK bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes);

/* ---- life ---- */

/* Ends the VM: its vCPUs stop, its memory is freed, its state can still be read until it is destroyed. */
void vm_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code);
/* Memory is forgotten, images are loaded again, the vCPU starts at the entry. */
void vm_reboot(struct vm *vm);
/* Ends the VM because of `why` (logged with the vCPU's registers). */
void vm_crash(struct vcpu *v, const char *why);

/* An interrupt or its deadline may have come up for this vCPU: it is looked at again before its next entry, and woken if halted. */
void vcpu_kick(struct vcpu *v);

#endif
