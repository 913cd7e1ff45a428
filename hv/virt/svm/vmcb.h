/* SPDX-License-Identifier: MIT
 *
 * The VMCB (APM 2 appendix B), intercepts (15.9-15.13) and exit codes (appendix C), as far as they are used
 * here.
 */
#ifndef TITHE_VIRT_SVM_VMCB_H
#define TITHE_VIRT_SVM_VMCB_H

#include "tithe/types.h"

struct vmcb_segment {
    uint16_t selector;
    uint16_t attr; /* bits 0-7 descriptor byte 5, 8-11 AVL L D/B G */
    uint32_t limit;
    uint64_t base;
};

struct vmcb {
    uint32_t intercept_cr, intercept_dr;
    uint32_t intercept_exceptions;
    uint32_t intercept1, intercept2, intercept3;
    uint8_t reserved1[0x40 - 0x18];
    uint64_t iopm, msrpm;
    uint64_t tsc_offset;
    uint32_t asid;
    uint32_t tlb_control;
    uint8_t v_tpr, v_irq, v_prio, v_masking;
    uint32_t v_vector;
    uint64_t shadow;
    uint64_t exit_code, exit_info1, exit_info2, exit_int_info;
    uint64_t np_enable;
    uint8_t reserved2[0xA8 - 0x98];
    uint64_t event_inj;
    uint64_t n_cr3;
    uint64_t lbr;
    uint64_t clean;
    uint64_t nrip;
    uint8_t reserved3[0x400 - 0xD0];

    struct vmcb_segment seg[6]; /* ES CS SS DS FS GS */
    struct vmcb_segment gdtr, ldtr, idtr, tr;
    uint8_t reserved4[0x4CB - 0x4A0];
    uint8_t cpl;
    uint32_t reserved5;
    uint64_t efer;
    uint8_t reserved6[0x548 - 0x4D8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved7[0x5D8 - 0x580];
    uint64_t rsp;
    uint8_t reserved8[0x5F8 - 0x5E0];
    uint64_t rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    uint8_t reserved9[0x668 - 0x648];
    uint64_t g_pat, debugctl;
    uint8_t reserved10[0x1000 - 0x678];
};
_Static_assert(sizeof(struct vmcb) == PAGE_BYTES, "APM 2 appendix B");
_Static_assert(offsetof(struct vmcb, exit_code) == 0x70, "APM 2 appendix B");
_Static_assert(offsetof(struct vmcb, nrip) == 0xC8, "APM 2 appendix B");
_Static_assert(offsetof(struct vmcb, efer) == 0x4D0, "APM 2 appendix B");
_Static_assert(offsetof(struct vmcb, rip) == 0x578, "APM 2 appendix B");
_Static_assert(offsetof(struct vmcb, cr2) == 0x640, "APM 2 appendix B");
_Static_assert(offsetof(struct vmcb, g_pat) == 0x668, "APM 2 appendix B");

/* intercept1 */
#define INTERCEPT_INTR     (1u << 0)
#define INTERCEPT_NMI      (1u << 1)
#define INTERCEPT_VINTR    (1u << 4)
#define INTERCEPT_RDPMC    (1u << 15)
#define INTERCEPT_CPUID    (1u << 18)
#define INTERCEPT_IRET     (1u << 20)
#define INTERCEPT_INVD     (1u << 22)
#define INTERCEPT_HLT      (1u << 24)
#define INTERCEPT_INVLPGA  (1u << 26)
#define INTERCEPT_IOIO     (1u << 27)
#define INTERCEPT_MSR      (1u << 28)
#define INTERCEPT_TASK     (1u << 29)
#define INTERCEPT_SHUTDOWN (1u << 31)
/* intercept2 */
#define INTERCEPT_VMRUN    (1u << 0)
#define INTERCEPT_VMMCALL  (1u << 1)
#define INTERCEPT_VMLOAD   (1u << 2)
#define INTERCEPT_VMSAVE   (1u << 3)
#define INTERCEPT_STGI     (1u << 4)
#define INTERCEPT_CLGI     (1u << 5)
#define INTERCEPT_SKINIT   (1u << 6)
#define INTERCEPT_WBINVD   (1u << 9)
#define INTERCEPT_MONITOR  (1u << 10)
#define INTERCEPT_MWAIT    (1u << 11)
#define INTERCEPT_XSETBV   (1u << 13)
#define INTERCEPT_RDPRU    (1u << 14)

#define TLB_CONTROL_NOTHING 0u
#define TLB_CONTROL_ALL     1u
#define TLB_CONTROL_ASID    3u

#define V_IRQ     1u
#define V_PRIO    15u
#define V_IGN_TPR (1u << 4) /* in v_prio */
#define V_MASKING 1u

enum svm_exit {
    SVM_EXIT_EXCEPTION = 0x40, /* + vector */
    SVM_EXIT_INTR = 0x60,
    SVM_EXIT_NMI = 0x61,
    SVM_EXIT_VINTR = 0x64,
    SVM_EXIT_RDPMC = 0x6F,
    SVM_EXIT_CPUID = 0x72,
    SVM_EXIT_IRET = 0x74,
    SVM_EXIT_INVD = 0x76,
    SVM_EXIT_HLT = 0x78,
    SVM_EXIT_INVLPGA = 0x7A,
    SVM_EXIT_IOIO = 0x7B,
    SVM_EXIT_MSR = 0x7C,
    SVM_EXIT_TASK = 0x7D,
    SVM_EXIT_SHUTDOWN = 0x7F,
    SVM_EXIT_VMRUN = 0x80,
    SVM_EXIT_VMMCALL = 0x81,
    SVM_EXIT_VMLOAD = 0x82,
    SVM_EXIT_SKINIT = 0x86,
    SVM_EXIT_WBINVD = 0x89,
    SVM_EXIT_MONITOR = 0x8A,
    SVM_EXIT_MWAIT = 0x8B,
    SVM_EXIT_XSETBV = 0x8D,
    SVM_EXIT_RDPRU = 0x8E,
    SVM_EXIT_NPF = 0x400,
};

#endif
