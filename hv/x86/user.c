/* SPDX-License-Identifier: MIT */
#include "boot/layout.h"
#include "lib/log.h"
#include "x86/cpu.h"
#include "x86/desc.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/user.h"

_Static_assert(offsetof(struct user_context, gpr) == USER_GPR, "for assembler");
_Static_assert(offsetof(struct user_context, rip) == USER_RIP, "for assembler");
_Static_assert(offsetof(struct user_context, rflags) == USER_RFLAGS, "for assembler");

/* CF PF AF ZF SF TF DF OF AC ID: what ring 3 may set for itself. */
#define RFLAGS_USER 0x240dd5ull

enum user_exit user_switch(struct user_context *context, hpa_t cr3);
void syscall_entry(void);

void user_cpu_init(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
    wrmsr(MSR_SYSENTER_CS, 0); /* SYSENTER: #GP */
}

enum user_exit user_enter(struct user_context *context, hpa_t cr3)
{
    context->rflags = (context->rflags & RFLAGS_USER) | RFLAGS_ONE | RFLAGS_IF;
    if (context->rip >= USER_TOP || context->fs_base >= USER_TOP || context->gs_base >= USER_TOP) {
        context->vector = VECTOR_GP;
        context->error = 0;
        return USER_FAULT;
    }
    wrmsr(MSR_STAR, (uint64_t)SEL_CORE_CS << 32);
    wrmsr(MSR_LSTAR, (uint64_t)(uintptr_t)syscall_entry);
    wrmsr(MSR_FMASK, ~RFLAGS_ONE & UINT32_MAX); /* ring 0 starts with no flag set */
    wrmsr(MSR_FS_BASE, context->fs_base);
    wrmsr(MSR_KERNEL_GS_BASE, context->gs_base);
    return user_switch(context, cr3);
}
