/* SPDX-License-Identifier: MIT
 *
 * What the core asks of a CPU's virtualisation: one contract, two implementations (virt/vmx, virt/svm),
 * chosen at boot. Nothing outside virt/ knows a VMCS or a VMCB.
 *
 * Division of labour: what only one vendor knows (control registers under VMX's fixed bits, event
 * re-injection after a fault during delivery, #UD for virtualisation instructions, INVD/WBINVD, XSETBV,
 * task switches) is finished inside `run`, which then reports EXIT_NONE; everything with a meaning on both is
 * normalised into v->exit and handled by vm/.
 *
 * What takes a vCPU is called by the CPU that runs it, or by any while none does; that CPU may then hold some
 * of its registers, till `park`.
 */
#ifndef TITHE_VIRT_VENDOR_H
#define TITHE_VIRT_VENDOR_H

#include "mem/p2m.h"
#include "vm/vcpu.h"

struct vendor {
    const char *name; /* "vtx" or "amd" */
    const struct pt_format *second_level;

    /* Is it there and usable? NULL: yes. Else a sentence that names what is missing and the mend,
     * e.g. "VT-x is locked off by firmware (IA32_FEATURE_CONTROL): enable it in the firmware's set-up". */
    const char *(*probe)(void);
    /* Switches this CPU's virtualisation on; once per CPU, on it, one after the other. NULL, or why not: it can
     * do less than the one that probed, for instance. */
    const char *(*cpu_start)(void);
    void (*cpu_stop)(void);

    /* Whether second-level entries tell of accesses (pt_format.accessed). */
    bool (*accessed_bits)(void);

    /* v->vm and v->vm->p2m are set. False: no memory. */
    bool (*vcpu_create)(struct vcpu *v);
    void (*vcpu_destroy)(struct vcpu *v);
    /* State after entry by a loader: 32-bit flat protected mode, paging off, interrupts off, EIP = entry; all
     * general registers 0 (the caller sets what the protocol wants in v->regs afterwards). CR0 = PE|ET|NE. */
    void (*vcpu_reset_flat)(struct vcpu *v, uint32_t entry);
    /* State after INIT and SIPI: real mode at vector << 12 (SDM 3A 9.4). */
    void (*vcpu_reset_sipi)(struct vcpu *v, uint8_t vector);

    /* Enters the guest once, returns at its next exit with v->regs and v->exit filled. Called and returns
     * with host interrupts off; a host interrupt ends the run and has been dispatched through the host's IDT
     * when it returns. Guest GPRs, CR2, DR0-3/6 belong to the guest while in it; the FPU is whatever is
     * loaded (the caller switches it: x86/fpu.h). Goes through the gate of mem/tlb.h (v->tlb is even when it returns,
     * whatever happened): stale translations are flushed before the guest runs. */
    void (*run)(struct vcpu *v);
    /* This CPU lets go of the vCPU it ran last. Between runs some guest registers stay in the CPU (SYSCALL
     * MSRs, debug registers, CR2) and the host's descriptor-table limits are not its own. To be called before
     * ring 3 is entered, and before that vCPU runs on another CPU. Cheap when there is nothing to let go of;
     * run undoes it by itself. */
    void (*park)(void);

    /* Event injection; at most one event at a time. can_inject: IF set, no blocking, and no event is waiting
     * already. External interrupts only when can_inject; exceptions at any time between runs (after an
     * instruction that faults in emulation). */
    bool (*can_inject)(struct vcpu *v);
    void (*inject_interrupt)(struct vcpu *v, uint8_t vector);
    void (*inject_exception)(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error);
    void (*inject_nmi)(struct vcpu *v);
    /* It has not been taken yet: it ends a HLT. */
    bool (*nmi_waiting)(const struct vcpu *v);

    uint64_t (*get_sys)(struct vcpu *v, enum sysreg reg);
    /* Control registers take effect as a guest's write would, without its checks. */
    void (*set_sys)(struct vcpu *v, enum sysreg reg, uint64_t value);
    void (*get_seg)(struct vcpu *v, enum seg seg, struct segment *out);
    void (*set_seg)(struct vcpu *v, enum seg seg, const struct segment *in);

    /* TSC the guest reads = host TSC + offset. */
    void (*set_tsc_offset)(struct vcpu *v, uint64_t offset);

    /* Debug builds call it before every entry: NULL, or what the architecture would refuse or what breaks
     * isolation (SDM 3C 26.2-26.3, APM 2 15.5.1), in words. */
    const char *(*audit)(struct vcpu *v);
    /* Writes the vendor's view of a vCPU to the log: for a VM crash. */
    void (*dump)(struct vcpu *v);
};

extern const struct vendor vmx_vendor;
extern const struct vendor svm_vendor;

/* The one in use; set by vendor_select. */
extern const struct vendor *vendor;

/* Picks the vendor this CPU has; NULL, or why there is none, in words. */
const char *vendor_select(void);

#endif
