/* SPDX-License-Identifier: MIT
 *
 * What each CPU has for itself, behind GS.
 */
#ifndef TITHE_X86_PERCPU_H
#define TITHE_X86_PERCPU_H

/* Offsets for assembler; checked against the structure in x86/percpu.c. */
#define PERCPU_SELF         0
#define PERCPU_USER_CONTEXT 8
#define PERCPU_USER_RSP     16
#define PERCPU_CORE_CR3     24
#define PERCPU_SCRATCH      32
#define PERCPU_TSS_RSP0     92

#ifndef __ASSEMBLER__

#include "lib/cpu_index.h"
#include "tithe/types.h"
#include "x86/desc.h"

struct user_context;
struct vcpu;

struct percpu {
    struct percpu *self;
    /* While in ring 3: where its registers go, and the stack pointer user_enter left behind. */
    struct user_context *user_context;
    uint64_t user_rsp;
    uint64_t core_cr3; /* the core's own tables */
    uint64_t scratch;  /* one word for the SYSCALL entry */

    uint32_t index; /* from 0, the boot CPU */
    uint32_t apic_id;
    uint32_t locks_held;        /* bit per lock level */
    uint64_t stack_top;         /* of the core's stack on this CPU */
    uint64_t timer_deadline_ns; /* what the timer is armed for */
    uint64_t xcr0;              /* what XCR0 holds now */
    uint64_t interrupts;        /* counted by irq_dispatch */
    struct tss tss;
    struct gdt gdt;
    const char *stacks; /* guard page and stack, then the same for each IST (boot/layout.h) */

    bool resched;           /* whoever runs is to give way: vm/run.c looks for something better */
    uint64_t idle_ns;       /* time spent in cpu_idle by vm/run.c */
    uint64_t turns_ns[3];   /* in turns, their exits included, by enum sched_kind */
    uint64_t running_vtime; /* of whom this CPU runs, for sched_wake; UINT64_MAX when idle */
    bool errands;           /* one of the next two is to be seen to when no lock is held: vm/run.c */
    uint64_t kicks;         /* CPUs that smp_send_kicks is to kick, a bit each */
    uint64_t timers_ns; /* the first deadline of vm/timer.c here, if that was set after its last timers_run */
    struct vcpu *live_vcpu; /* some of its registers are in this CPU, or NULL: vendor->park */
};

static inline struct percpu *this_cpu(void)
{
    struct percpu *self;
    __asm__("mov %%gs:0, %0" : "=r"(self));
    return self;
}

/* CPU `index`, NULL past the last that runs. */
struct percpu *percpu_of(uint32_t index);
uint32_t percpu_count(void);
/* From now on percpu_of knows it: CPU percpu_count(). Boot CPU only, like its undoing. */
void percpu_add(struct percpu *cpu);
void percpu_drop_last(void);
/* Fills in a CPU's structure, 256-aligned for the TSS in it must not cross a page; `stacks` is laid out as boot_stacks. */
void percpu_init(struct percpu *cpu, uint32_t index, const char *stacks);
/* Makes `cpu` this CPU's own: GS, GDT, TSS, IDT. */
void percpu_load(struct percpu *cpu);

#endif
#endif
