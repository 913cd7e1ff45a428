/* SPDX-License-Identifier: MIT
 *
 * The steward as a process: its memory, registers and what it waits for. Private to steward/core.
 */
#ifndef TITHE_STEWARD_CORE_PROCESS_H
#define TITHE_STEWARD_CORE_PROCESS_H

#include "tithe/abi.h"
#include "vm/sched.h"
#include "vm/vcpu.h"
#include "x86/user.h"
#include "x86/user_space.h"

/* Anonymous mappings lie below this, and its stack above. */
#define PROCESS_MMAP_TOP 0x6fff00000000ull

struct process {
    struct sched_entity sched;
    struct user_space space;
    struct user_context user;
    struct fpu_state fpu;
    uint64_t brk_start;
    uint64_t brk;        /* end of the heap */
    uint64_t brk_mapped; /* end of its pages */
    uint64_t mmap_next;  /* anonymous mappings grow downwards from here */
    uint64_t pages_max;  /* what its space may grow to: what it was loaded with and the arena */
    uint64_t note;       /* address of its struct tithe_note; 0: none */
    uint64_t alarm; /* address to enter when policy code has used TITHE_ALARM_PART of its budget; 0: none */
    bool alarmed;   /* it has been, in this phase */
    uint64_t phase; /* enum tithe_phase */
    uint64_t phase_ns;  /* CPU time it had used when the phase, or its turn after a wait, began */
    uint64_t waited_ns; /* CPU time it had used when it last came out of a wait, or was started */
    uint64_t woke_for;  /* TITHE_WAKE_* that ended its last wait */
    uint64_t woke_ns;   /* CPU time it had used then */
    uint64_t turn_ns;   /* when it was last entered */
    bool waiting;       /* in TITHE_SYS_WAIT */
    bool has_waited;    /* it came so far: it is a steward that works */
    uint64_t wait_until_ns;
    const char *died; /* why it has to die; NULL: it lives */
    bool blameless;   /* it died by the core's wish: not the policy's fault */
};

/* TITHE_WAKE_* not yet delivered; set by any CPU. */
extern uint64_t process_wakes;
/* Takes them, with input and `until_ns` looked at: 0 when there is nothing to wake for. Cheap then. */
uint64_t process_take_wakes(uint64_t until_ns, uint64_t now_ns);

/* Builds memory and registers for a fresh start from the ELF file. NULL, or what is wrong. */
const char *process_load(struct process *p, const void *elf, size_t bytes, uint64_t arena_pages);
void process_unload(struct process *p);

/* ---- system calls ---- */

/* Handles the call in p->user; the result goes to rax. May set p->died. */
void process_syscall(struct process *p);
/* The calls of abi.h; false: not one of them. */
bool tithe_syscall(struct process *p, uint64_t number, const uint64_t arg[3], int64_t *result);

#endif
