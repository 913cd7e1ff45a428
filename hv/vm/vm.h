/* SPDX-License-Identifier: MIT
 *
 * A virtual machine.
 */
#ifndef TITHE_VM_VM_H
#define TITHE_VM_VM_H

#include "dev/platform.h"
#include "lib/cpu_index.h"
#include "mem/p2m.h"
#include "tithe/abi.h"
#include "vm/guest_cpuid.h"
#include "vm/vcpu.h"

#define VCPUS_MAX  8u
#define SHARES_MAX 1000000u

struct vm {
    uint32_t id;   /* never reused; from 1 */
    uint16_t slot; /* index in the VM table + 1: owner in the frame table */
    enum tithe_vm_state state;
    char name[TITHE_NAME_MAX];
    struct p2m p2m;
    uint64_t tlb_generation; /* grows with every flush of the map; from 1 */
    uint64_t flushed[CPUS_MAX]; /* VT-x: the generation that each CPU has flushed for; 0: it never has */
    struct tithe_create config;
    uint64_t max_pages, min_pages, shares, target_pages;
    bool held;
    uint64_t overhead_pages;
    uint64_t created_ns;
    uint64_t guest_events_ns; /* event_of_guest: till then its events have been had */
    uint64_t stats_asked_ns;  /* when the balloon driver was last asked for statistics */
    enum tithe_stop stop_reason;
    uint64_t exit_code;
    uint64_t reboots;
    uint64_t exits, cpu_ns;   /* of vCPUs that are no more */
    bool balloon_driver;      /* the guest's driver is up */
    uint32_t pending;         /* VM_PENDING_*: what the guest asked for, done after the exit */
    uint64_t poll_ns;         /* when the platform wants to be polled next */
    struct platform platform; /* every device the guest sees */
    struct guest_cpuid cpuid; /* guest_cpuid_init at creation */
    uint32_t vcpu_count;
    struct vcpu *vcpu[VCPUS_MAX];
};

enum vm_pending { VM_PENDING_STOP = 1, VM_PENDING_REBOOT = 2 };

/* ---- the set of VMs (vm/vm_table.c) ---- */

/* By id; NULL when there is none. */
struct vm *vm_find(uint32_t id);
struct vm *vm_find_name(const char *name);
/* The one in table place `slot` - 1 (0 .. TITHE_VMS_MAX - 1), or NULL: for loops over all. */
struct vm *vm_at(size_t place);
static inline struct vm *vm_of_p2m(struct p2m *p2m)
{
    return CONTAINER_OF(p2m, struct vm, p2m);
}

/* Checks everything, makes the VM, loads it and, unless paused, starts it. 0 or a TITHE_E number with
 * `reason` (TITHE_REASON_MAX bytes) in words; then nothing is left behind. config->id is set. */
int vm_create(struct tithe_create *config, char *reason);
/* Ends it if it runs, and forgets it. */
void vm_destroy(struct vm *vm);

/* ---- guest memory, for devices and loaders ---- */

/* Copies between the guest's physical memory and the core, touching pages as the guest would. False when any byte is not RAM
 * (nothing is guaranteed of the rest) or no frame is free. */
MUST_CHECK bool vm_read(struct vm *vm, gpa_t gpa, void *out, size_t bytes);
MUST_CHECK bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes);

/* ---- life ---- */

/* Ends the VM: its vCPUs stop, its memory is freed, its state can still be read until it is destroyed. */
void vm_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code);
/* Running <-> paused. False when it is not in the other state. */
MUST_CHECK bool vm_pause(struct vm *vm);
MUST_CHECK bool vm_unpause(struct vm *vm);
/* What the guest asked for during its last exit (vm->pending). */
void vm_do_pending(struct vm *vm);
/* Tells the balloon how far the VM is to shrink: size less target. */
void vm_apply_target(struct vm *vm);
/* Memory is forgotten, images are loaded again, the vCPU starts at the entry. */
void vm_reboot(struct vm *vm);
extern const struct platform_ops vm_platform_ops;
/* Ends the VM because of `why` (logged with the vCPU's registers). */
void vm_crash(struct vcpu *v, const char *why);

/* An interrupt or its deadline may have come up for this vCPU: it is looked at again before its next entry, and woken if halted. */
void vcpu_kick(struct vcpu *v);

#endif
