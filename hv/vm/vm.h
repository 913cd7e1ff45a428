/* SPDX-License-Identifier: MIT
 *
 * A virtual machine.
 */
#ifndef TITHE_VM_VM_H
#define TITHE_VM_VM_H

#include "dev/platform.h"
#include "lib/cpu_index.h"
#include "mem/p2m.h"
#include "mem/sample.h"
#include "mem/share.h"
#include "mem/swap.h"
#include "tithe/abi.h"
#include "vm/guest_cpuid.h"
#include "vm/vcpu.h"
#include "vm/vm_move.h"

#define VCPUS_MAX  8u
#define SHARES_MAX 1000000u /* of memory or CPU */

#define CPU_SHARES_USUAL 1000u

struct vm {
    uint32_t id;   /* never reused; from 1 */
    uint16_t slot; /* index in the VM table + 1: owner in the frame table */
    enum tithe_vm_state state;
    enum tithe_vm_state resumes; /* SUSPENDED: the state before */
    char name[TITHE_NAME_MAX];
    struct p2m p2m;
    struct sample sample;       /* p2m.sample */
    uint64_t tlb_generation;    /* grows with every flush of the map; from 1 */
    uint64_t flushed[CPUS_MAX]; /* VT-x: the generation that each CPU has flushed for; 0: it never has */
    struct tithe_create config;
    uint64_t max_pages, min_pages, shares, target_pages;
    uint64_t cpu_shares; /* against other VMs on the CPUs, all vCPUs together */
    bool held;
    /* What plans want of host swap (vm/paging.h); boot CPU. */
    uint64_t swap_out_wanted, prefetch_wanted; /* pages */
    uint64_t swap_looked, prefetch_looked;     /* entries looked at since one was found */
    enum swap_pick swap_pick;
    uint64_t overhead_pages;
    uint64_t created_ns;
    uint64_t guest_events_ns; /* event_of_guest: till then its events have been had */
    uint64_t stats_asked_ns;  /* when the balloon driver was last asked for statistics */
    enum tithe_stop stop_reason;
    uint64_t exit_code;
    uint64_t reboots;
    uint64_t ended_exits[EXIT_KINDS], ended_cpu_ns; /* of vCPUs that are no more */
    bool balloon_driver;                            /* the guest's driver is up */
    uint32_t pending;         /* VM_PENDING_*, by vm_ask: no vCPU enters the guest while there is something */
    struct timer poll_timer;  /* when the platform wants to be polled next; set under the device lock */
    struct platform platform; /* every device the guest sees */
    struct vm_disk *disk;     /* vm/vm_disk.c's; NULL: none */
    struct {
        uint64_t direct_pieces, copied_pieces; /* of its disk's requests, ever: parts of a page moved */
    } io;                                      /* under the device lock */
    struct vm_moves moves;
    struct guest_cpuid cpuid; /* guest_cpuid_init at creation */
    /* A plan's scan: pages left, and the order in the top byte; the boot CPU asks, the worker counts down. */
    uint64_t scan_request;
    uint64_t scan_seen,
        scan_until;         /* the worker's: the request as it left it, and the pass at which it ends */
    struct share_scan scan; /* likewise */
    uint32_t vcpu_count;
    struct vcpu *vcpu[VCPUS_MAX];
};

/* What a guest asked for, done by the boot CPU between turns. */
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
/* Sets aside what swap must hold for these bounds. False: it is not to be had, and `reason` says so. Boot CPU. */
MUST_CHECK bool vm_reserve_swap(struct vm *vm, uint64_t min_pages, uint64_t max_pages, char *reason);
/* Ends it if it runs, and forgets it. */
void vm_destroy(struct vm *vm);

/* ---- guest memory, for devices and loaders ---- */

/* Copies between the guest's physical memory and the core, touching pages as the guest would. False when any byte is not RAM
 * (nothing is guaranteed of the rest) or no frame is free. */
MUST_CHECK bool vm_read(struct vm *vm, gpa_t gpa, void *out, size_t bytes);
MUST_CHECK bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes);
/* Touches the pages of this range. False: one of them is not to be had just now; what is no RAM is passed over. */
MUST_CHECK bool vm_touch(struct vm *vm, gpa_t gpa, size_t bytes);
/* Till vm_unsteady nothing of the VM's memory goes to swap: who has found a page there will find it again. Returns what
 * vcpu_wait takes as `seen`. */
static inline uint64_t vm_steady(struct vm *vm)
{
    __atomic_fetch_add(&vm->p2m.swap.steady, 1, __ATOMIC_SEQ_CST);
    return swap_completions();
}
static inline void vm_unsteady(struct vm *vm)
{
    __atomic_fetch_sub(&vm->p2m.swap.steady, 1, __ATOMIC_SEQ_CST);
}
/* Whether all of this is RAM: then a failure of the above was for want of a frame, or the page is on its way from swap, and
 * will be over. */
MUST_CHECK bool vm_is_ram(struct vm *vm, gpa_t gpa, size_t bytes);

/* ---- life: boot CPU, between turns; no vCPU of the VM is switched in on it ---- */

/* Ends the VM: its vCPUs stop, its memory is freed, its state can still be read until it is destroyed. */
void vm_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code);
/* Running <-> paused. False when it is not in the other state. */
MUST_CHECK bool vm_pause(struct vm *vm);
MUST_CHECK bool vm_unpause(struct vm *vm);
/* The paper's low state: the VM does not run, and its memory goes to swap, as much of it as there is room for. Again: what has come
 * back since goes, too. */
void vm_suspend(struct vm *vm);
/* Swap has room for all of it. */
MUST_CHECK bool vm_fits_in_swap(const struct vm *vm);
/* It is what it was before, and up to `prefetch` pages are read ahead. False, and nothing else is done: it was not suspended. */
bool vm_resume(struct vm *vm, uint64_t prefetch);
/* What the guest asked for. */
void vm_do_pending(struct vm *vm);
/* Tells the balloon how far the VM is to shrink: size less target. */
void vm_apply_target(struct vm *vm);
/* From now on, all its vCPUs together weigh so much. */
void vm_set_cpu_shares(struct vm *vm, uint64_t cpu_shares);

/* ---- on any CPU ---- */

extern const struct platform_ops vm_platform_ops;
/* The boot CPU is to do this soon; till then no vCPU enters the guest. */
void vm_ask(struct vm *vm, enum vm_pending what);
/* The end, under the device lock; the first reason counts. */
void vm_ask_stop(struct vm *vm, enum tithe_stop why, uint64_t exit_code);
/* The end because of `why` (logged with the vCPU's registers): by the vCPU's own CPU, device lock not held. */
void vm_crash(struct vcpu *v, const char *why);
/* Fires poll_timer: moves the devices' time on. */
void vm_poll(struct timer *timer, uint64_t now_ns);
/* Work for the VM since `since_ns` is the VM's CPU time. */
void vm_charge(struct vm *vm, uint64_t since_ns);

/* ---- its vCPUs (vm/vcpu.c) ---- */

/* Under the device lock, on any CPU: something may be pending for the vCPU, which looks before its next entry and wakes up if it
 * is so. */
void vcpu_kick(struct vcpu *v);
void vcpu_nmi(struct vcpu *v);
/* INIT; a SIPI is for one that waits for it only. */
void vcpu_init(struct vcpu *v);
void vcpu_sipi(struct vcpu *v, uint8_t vector);
/* Fires v->timer: its LAPIC's. */
void vcpu_on_timer(struct timer *timer, uint64_t now_ns);
/* Frames for guests are free, or pages came from swap: one that waits for them goes on. Device lock not held. */
void vcpu_memory_came(struct vcpu *v);

/* By the CPU that runs it, device lock not held: before an entry when v->irq_check or v->requests say so. v->timer follows the
 * LAPIC's. May leave it in another state than RUNNABLE. */
void vcpu_prepare(struct vcpu *v);
/* HLT: sleeps, unless there is something to wake it already. */
void vcpu_halt(struct vcpu *v);
/* What it needs of its VM's memory is not to be had just now: it does the same again later. `seen`: swap_completions before it
 * was tried. */
void vcpu_wait(struct vcpu *v, enum vcpu_state state, uint64_t seen);
/* The same for who does not know which of the two it was; either ends both. */
static inline void vcpu_wait_page(struct vcpu *v, uint64_t seen)
{
    vcpu_wait(v, v->vm->p2m.swap.reading != 0 ? VCPU_WAIT_IO : VCPU_WAIT_MEMORY, seen);
}

#endif
