/* SPDX-License-Identifier: MIT
 *
 * Exceptions and interrupts as the entry code leaves them on the stack.
 */
#ifndef TITHE_X86_TRAP_H
#define TITHE_X86_TRAP_H

#include "tithe/types.h"
#include "vm/vcpu.h"
#include "x86/user.h"

struct trap_frame {
    uint64_t gpr[GPR_COUNT]; /* by enum gpr; RSP: see below */
    uint64_t vector;
    uint64_t error; /* 0 for those without */
    /* What the CPU pushes (SDM 3A 6.14.2). */
    uint64_t rip;
    uint64_t cs;
    uint64_t rflags;
    uint64_t rsp;
    uint64_t ss;
};

/* Fills the interrupt table; once. */
void idt_init(void);

/* From the entry code, trap_entry.S. */
void trap_from_core(struct trap_frame *frame);
enum user_exit trap_from_user(struct trap_frame *frame);

/* A panic because of an exception in the core. */
_Noreturn void panic_trap(const struct trap_frame *frame);

#endif
