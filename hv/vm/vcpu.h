/* SPDX-License-Identifier: MIT
 *
 * A virtual CPU: what both vendors share. The vendor's own part (VMCS or VMCB) hangs off `hw`.
 */
#ifndef TITHE_VM_VCPU_H
#define TITHE_VM_VCPU_H

#include "dev/lapic.h"
#include "mem/tlb.h"
#include "tithe/types.h"
#include "vm/guest_msr.h"
#include "vm/sched.h"
#include "vm/timer.h"

struct vm;

/* General registers in the order of their instruction encoding. */
enum gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, GPR_COUNT };

/* Valid and writable between two runs. */
struct vcpu_regs {
    uint64_t gpr[GPR_COUNT];
    uint64_t rip;
    uint64_t rflags;
};

enum exit_kind {
    EXIT_NONE = 0,  /* the vendor dealt with it: run again */
    EXIT_INTERRUPT, /* a host interrupt came (and has been handled by the host's vector) */
    EXIT_WINDOW,    /* the guest can take an interrupt now; the request for it is over */
    EXIT_CPUID,
    EXIT_HLT,
    EXIT_PIO,
    EXIT_MSR_READ,
    EXIT_MSR_WRITE,
    EXIT_FAULT,     /* second-level fault */
    EXIT_HYPERCALL, /* VMCALL or VMMCALL */
    EXIT_TRIPLE_FAULT,
    EXIT_UNSUPPORTED, /* an act nobody emulates; `why` names it */
    EXIT_BAD_STATE,   /* entry refused: `why` says what for */
    EXIT_KINDS
};

struct exit {
    enum exit_kind kind;
    uint32_t insn_bytes; /* length of the instruction that exited, where it did */
    const char *why;
    union {
        struct {
            uint16_t port;
            uint8_t bytes; /* 1, 2, 4 */
            bool in;
            bool string; /* INS, OUTS: the instruction itself says the rest */
        } pio;
        struct {
            gpa_t gpa;
            bool write;
            bool exec;
            bool walk; /* by the guest's page walk, not the access itself */
        } fault;
    } u;
};

/* Segment registers as an exception's or a descriptor's fields know them. */
enum seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_COUNT };

struct segment {
    uint64_t base;
    uint32_t limit; /* in bytes, granularity applied */
    uint16_t selector;
    /* VMX access-rights layout: bits 0-7 descriptor byte 5, 12-15 AVL L D/B G; bit 16 would be unusable:
     * see `unusable` */
    uint16_t attr;
    bool unusable;
};

enum sysreg {
    SYS_CR0,
    SYS_CR2,
    SYS_CR3,
    SYS_CR4,
    SYS_EFER,
    SYS_GDT_BASE,
    SYS_GDT_LIMIT,
    SYS_IDT_BASE,
    SYS_IDT_LIMIT,
    SYS_PAT,
    SYS_STAR,
    SYS_LSTAR,
    SYS_CSTAR,
    SYS_FMASK,
    SYS_FS_BASE,
    SYS_GS_BASE,
    SYS_KERNEL_GS_BASE,
    SYS_SYSENTER_CS,
    SYS_SYSENTER_ESP,
    SYS_SYSENTER_EIP,
    SYS_DEBUGCTL,
    SYS_COUNT
};

/* FPU and extended state of whoever is not running: XSAVE area, 64-aligned, sized for all of the host's XCR0. */
struct fpu_state {
    void *area;    /* frame run from frame_alloc_run */
    uint64_t xcr0; /* the owner's XCR0 */
};

/* Changed under the VM's device lock only: whoever makes something pending for a vCPU holds it, and so does a vCPU between its
 * last look and its going to sleep. */
enum vcpu_state {
    VCPU_STOPPED, /* waits for a SIPI, or its VM has ended */
    VCPU_RUNNABLE,
    VCPU_HALTED,      /* HLT: till an interrupt is pending */
    VCPU_WAIT_MEMORY, /* its fault found no free frame */
    VCPU_WAIT_IO,     /* for a page on its way from swap */
};

/* What others ask of a vCPU, carried out by the CPU that runs it before its next entry. Bits are set atomically. */
enum vcpu_request {
    VCPU_REQUEST_IRQ = 1 << 0, /* something may be pending: look */
    VCPU_REQUEST_NMI = 1 << 1,
    VCPU_REQUEST_INIT = 1 << 2, /* INIT: then it waits for a SIPI */
    VCPU_REQUEST_SIPI = 1 << 3, /* starts at sipi_vector << 12 */
};

struct vcpu {
    struct vm *vm;
    uint32_t index; /* in its VM; also its APIC id */
    enum vcpu_state state;
    struct sched_entity sched;
    struct vcpu_regs regs;
    struct exit exit;
    uint64_t
        retried_rip;   /* an instruction nobody emulates that was gone back to once; 0: none. See emulate.c */
    bool clear_shadow; /* an instruction was emulated: STI/MOV SS blocking is over */
    bool window_wanted;  /* leave the guest as soon as it can take an interrupt */
    bool irq_check;      /* something may be pending: look before the next entry */
    uint64_t tsc_offset; /* guest TSC - host TSC */
    struct fpu_state fpu;
    struct lapic lapic;
    struct guest_msrs msrs; /* MSRs that only remember what was written */
    void *hw;               /* struct vmx_vcpu or struct svm_vcpu */
    struct tlb_user tlb;    /* its side of mem/tlb.h */
    uint32_t requests;      /* enum vcpu_request */
    uint8_t sipi_vector;
    struct timer timer; /* for lapic.timer_deadline_ns; set under the device lock */
    uint64_t exits[EXIT_KINDS];
};

/* Call after emulating the instruction that exited. */
static inline void vcpu_skip(struct vcpu *v)
{
    v->regs.rip += v->exit.insn_bytes;
    v->clear_shadow = true;
}

#endif
