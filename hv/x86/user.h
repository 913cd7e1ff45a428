/* SPDX-License-Identifier: MIT
 *
 * Ring 3: entered by a call, left by its return. Nothing that happens there can end otherwise.
 */
#ifndef TITHE_X86_USER_H
#define TITHE_X86_USER_H

/* Offsets for assembler; checked in x86/user.c. */
#define USER_GPR     0
#define USER_RIP     128
#define USER_RFLAGS  136
#define USER_FS_BASE 144
#define USER_GS_BASE 152
#define USER_VECTOR  160
#define USER_ERROR   168
#define USER_CR2     176

#ifndef __ASSEMBLER__

#include "tithe/types.h"
#include "vm/vcpu.h"

/* Addresses of ring 3 are below this. The last page stays empty, so that no SYSCALL can sit right below a
 * non-canonical address. */
#define USER_TOP 0x7ffffffff000ull

struct user_context {
    uint64_t gpr[GPR_COUNT]; /* by enum gpr */
    uint64_t rip;            /* after SYSCALL: the instruction behind it */
    uint64_t rflags;         /* only the flags ring 3 may own are taken over; IF is always on */
    uint64_t fs_base;        /* set by the core only (arch_prctl); must be below USER_TOP */
    uint64_t gs_base;
    /* Of the last exit. */
    uint64_t vector; /* USER_INTERRUPT, USER_FAULT */
    uint64_t error;  /* USER_FAULT: error code, 0 for exceptions without */
    uint64_t cr2;    /* USER_FAULT with VECTOR_PF: the address */
};

enum user_exit {
    USER_SYSCALL = 0, /* SYSCALL: number in gpr[RAX]; RCX and R11 are lost as on Linux */
    USER_INTERRUPT,   /* a host interrupt came and has been handled */
    USER_FAULT,       /* an exception; rip is the instruction's (SDM 3A 6.5: behind it for traps) */
};

/* Runs ring 3 on the tables at `cr3` (a user_space's root) until its next exit. Called and returns with
 * interrupts off, on the core's tables. The caller has loaded the FPU state. A context that cannot be entered
 * (rip or a base out of range) comes back as USER_FAULT with VECTOR_GP. Nothing is assumed about STAR, LSTAR,
 * FMASK and KERNEL_GS_BASE, so virt/ may leave a guest's in them; FS_BASE is not preserved. */
enum user_exit user_enter(struct user_context *context, hpa_t cr3);

/* Once per CPU. */
void user_cpu_init(void);

#endif
#endif
