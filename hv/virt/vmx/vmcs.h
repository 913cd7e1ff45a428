/* SPDX-License-Identifier: MIT
 *
 * Names of VMCS fields (SDM 3D appendix B), control bits (SDM 3C 25.6-25.8) and exit reasons (appendix C), as
 * far as they are used here.
 */
#ifndef TITHE_VIRT_VMX_VMCS_H
#define TITHE_VIRT_VMX_VMCS_H

enum vmcs_field {
    VPID = 0x0000,
    GUEST_ES_SEL = 0x0800, /* ES CS SS DS FS GS LDTR TR, two apart: the order of enum seg */
    HOST_ES_SEL = 0x0C00,
    HOST_CS_SEL = 0x0C02,
    HOST_SS_SEL = 0x0C04,
    HOST_DS_SEL = 0x0C06,
    HOST_FS_SEL = 0x0C08,
    HOST_GS_SEL = 0x0C0A,
    HOST_TR_SEL = 0x0C0C,
    MSR_BITMAP = 0x2004,
    TSC_OFFSET = 0x2010,
    EPT_POINTER = 0x201A,
    XSS_EXIT_BITMAP = 0x202C,
    GUEST_PHYSICAL = 0x2400,
    VMCS_LINK = 0x2800,
    GUEST_DEBUGCTL = 0x2802,
    GUEST_PAT = 0x2804,
    GUEST_EFER = 0x2806,
    GUEST_PDPTE0 = 0x280A, /* four, two apart */
    HOST_PAT = 0x2C00,
    HOST_EFER = 0x2C02,
    PIN_CONTROLS = 0x4000,
    CPU_CONTROLS = 0x4002,
    EXCEPTION_BITMAP = 0x4004,
    PF_ERROR_MASK = 0x4006,
    PF_ERROR_MATCH = 0x4008,
    CR3_TARGETS = 0x400A,
    EXIT_CONTROLS = 0x400C,
    EXIT_MSR_STORES = 0x400E,
    EXIT_MSR_LOADS = 0x4010,
    ENTRY_CONTROLS = 0x4012,
    ENTRY_MSR_LOADS = 0x4014,
    ENTRY_EVENT = 0x4016,
    ENTRY_EVENT_ERROR = 0x4018,
    ENTRY_EVENT_BYTES = 0x401A,
    CPU_CONTROLS2 = 0x401E,
    INSTRUCTION_ERROR = 0x4400,
    EXIT_REASON = 0x4402,
    EXIT_EVENT = 0x4404,
    EXIT_EVENT_ERROR = 0x4406,
    IDT_EVENT = 0x4408,
    IDT_EVENT_ERROR = 0x440A,
    EXIT_INSN_BYTES = 0x440C,
    GUEST_ES_LIMIT = 0x4800,
    GUEST_GDT_LIMIT = 0x4810,
    GUEST_IDT_LIMIT = 0x4812,
    GUEST_ES_RIGHTS = 0x4814,
    GUEST_BLOCKING = 0x4824,
    GUEST_ACTIVITY = 0x4826,
    GUEST_SYSENTER_CS = 0x482A,
    PREEMPTION_TIMER = 0x482E,
    HOST_SYSENTER_CS = 0x4C00,
    CR0_MASK = 0x6000,
    CR4_MASK = 0x6002,
    CR0_SHADOW = 0x6004,
    CR4_SHADOW = 0x6006,
    EXIT_QUALIFICATION = 0x6400,
    GUEST_CR0 = 0x6800,
    GUEST_CR3 = 0x6802,
    GUEST_CR4 = 0x6804,
    GUEST_ES_BASE = 0x6806,
    GUEST_GDT_BASE = 0x6816,
    GUEST_IDT_BASE = 0x6818,
    GUEST_DR7 = 0x681A,
    GUEST_RSP = 0x681C,
    GUEST_RIP = 0x681E,
    GUEST_RFLAGS = 0x6820,
    GUEST_PENDING_DEBUG = 0x6822,
    GUEST_SYSENTER_ESP = 0x6824,
    GUEST_SYSENTER_EIP = 0x6826,
    HOST_CR0 = 0x6C00,
    HOST_CR3 = 0x6C02,
    HOST_CR4 = 0x6C04,
    HOST_FS_BASE = 0x6C06,
    HOST_GS_BASE = 0x6C08,
    HOST_TR_BASE = 0x6C0A,
    HOST_GDT_BASE = 0x6C0C,
    HOST_IDT_BASE = 0x6C0E,
    HOST_SYSENTER_ESP = 0x6C10,
    HOST_SYSENTER_EIP = 0x6C12,
    HOST_RSP = 0x6C14,
    HOST_RIP = 0x6C16,
};

#define PIN_EXT_INTERRUPT (1u << 0)
#define PIN_NMI           (1u << 3)
#define PIN_VIRTUAL_NMI   (1u << 5)

#define PIN_PREEMPTION_TIMER (1u << 6)

#define CPU_INTERRUPT_WINDOW (1u << 2)
#define CPU_TSC_OFFSET       (1u << 3)
#define CPU_HLT              (1u << 7)
#define CPU_INVLPG           (1u << 9)
#define CPU_MWAIT            (1u << 10)
#define CPU_RDPMC            (1u << 11)
#define CPU_RDTSC            (1u << 12)
#define CPU_CR3_LOAD         (1u << 15)
#define CPU_CR3_STORE        (1u << 16)
#define CPU_CR8_LOAD         (1u << 19)
#define CPU_CR8_STORE        (1u << 20)
#define CPU_NMI_WINDOW       (1u << 22)
#define CPU_IO               (1u << 24)
#define CPU_IO_BITMAPS       (1u << 25)
#define CPU_MSR_BITMAP       (1u << 28)
#define CPU_MONITOR          (1u << 29)
#define CPU_SECONDARY        (1u << 31)

#define CPU2_EPT          (1u << 1)
#define CPU2_RDTSCP       (1u << 3)
#define CPU2_VPID         (1u << 5)
#define CPU2_WBINVD       (1u << 6)
#define CPU2_UNRESTRICTED (1u << 7)
#define CPU2_INVPCID      (1u << 12)
#define CPU2_XSAVES       (1u << 20)

#define EXIT_SAVE_DEBUG    (1u << 2)
#define EXIT_HOST_64       (1u << 9)
#define EXIT_ACK_INTERRUPT (1u << 15)
#define EXIT_SAVE_PAT      (1u << 18)
#define EXIT_LOAD_PAT      (1u << 19)
#define EXIT_SAVE_EFER     (1u << 20)
#define EXIT_LOAD_EFER     (1u << 21)
#define EXIT_SAVE_TIMER    (1u << 22)

#define ENTRY_LOAD_DEBUG (1u << 2)
#define ENTRY_IA32E      (1u << 9)
#define ENTRY_LOAD_PAT   (1u << 14)
#define ENTRY_LOAD_EFER  (1u << 15)

/* Interruptibility state (SDM 3C 25.4.2). */
#define BLOCKING_STI    (1u << 0)
#define BLOCKING_MOV_SS (1u << 1)
#define BLOCKING_NMI    (1u << 3)

/* Access rights of a segment register that holds nothing (SDM 3C 25.4.1). */
#define RIGHTS_UNUSABLE (1u << 16)

#define PENDING_DEBUG_BS (1u << 14)

/* Basic exit reasons. */
enum vmx_reason {
    REASON_EXCEPTION_NMI = 0,
    REASON_EXT_INTERRUPT = 1,
    REASON_TRIPLE_FAULT = 2,
    REASON_INTERRUPT_WINDOW = 7,
    REASON_NMI_WINDOW = 8,
    REASON_TASK_SWITCH = 9,
    REASON_CPUID = 10,
    REASON_GETSEC = 11,
    REASON_HLT = 12,
    REASON_INVD = 13,
    REASON_RDPMC = 15,
    REASON_VMCALL = 18,
    REASON_VMCLEAR = 19, /* to VMXON (27): the VMX instructions */
    REASON_VMXON = 27,
    REASON_CR = 28,
    REASON_IO = 30,
    REASON_RDMSR = 31,
    REASON_WRMSR = 32,
    REASON_BAD_GUEST = 33,
    REASON_BAD_MSR_LOAD = 34,
    REASON_MWAIT = 36,
    REASON_MONITOR = 39,
    REASON_MACHINE_CHECK = 41,
    REASON_EPT_VIOLATION = 48,
    REASON_EPT_MISCONFIG = 49,
    REASON_INVEPT = 50,
    REASON_PREEMPTION_TIMER = 52,
    REASON_INVVPID = 53,
    REASON_WBINVD = 54,
    REASON_XSETBV = 55,
    REASON_VMFUNC = 59,
};
#define REASON_ENTRY_FAILED (1u << 31)

#endif
