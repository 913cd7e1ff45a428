/* SPDX-License-Identifier: MIT
 *
 * What the files of the AMD-V implementation share.
 */
#ifndef TITHE_VIRT_SVM_SVM_H
#define TITHE_VIRT_SVM_SVM_H

#include "virt/event.h"
#include "virt/live.h"
#include "virt/svm/vmcb.h"
#include "virt/vendor.h"

struct svm_vcpu {
    struct vmcb *vmcb;
    hpa_t vmcb_hpa;
    uint32_t asid_cpu;        /* the ASID is one of this CPU's ... */
    uint64_t asid_generation; /* ... of this generation */
    hpa_t host_vmcb;          /* of the CPU it runs on */
    uint32_t event;           /* for the next entry, or one whose delivery an exit cut short; 0: none */
    uint32_t event_error;
    bool nmi_waiting, nmi_blocked;
    bool deliver; /* an event or NMI waits: svm_deliver has something to do */
    struct live_state live;
};

/* Per CPU. */
struct svm_cpu {
    hpa_t host_save; /* VM_HSAVE_PA: for the CPU's own use */
    hpa_t host_vmcb; /* the host's half of VMLOAD and VMSAVE state */
    uint32_t next_asid;
    uint64_t asid_generation;
};
struct svm_cpu *svm_this_cpu(void);

/* Of the boot CPU; one that can do less is refused. */
struct svm_caps {
    uint32_t asids; /* 0 (the host's) to asids - 1 */
    bool nrip;
    bool flush_by_asid;
};
extern struct svm_caps svm_caps;

const char *svm_probe(void);
const char *svm_cpu_start(void);
void svm_cpu_stop(void);
/* Permission maps, the same for all guests: all ports exit, MSRs but a few do. */
MUST_CHECK bool svm_maps_create(void);
hpa_t svm_iopm(void);
hpa_t svm_msrpm(void);

bool svm_vcpu_create(struct vcpu *v);
void svm_vcpu_destroy(struct vcpu *v);
void svm_reset_flat(struct vcpu *v, uint32_t entry);
void svm_reset_sipi(struct vcpu *v, uint8_t vector);
void svm_make_current(struct vcpu *v);
void svm_park(void);
/* This CPU's TLB forgets all of the vCPU's translations at the VMRUN that must follow. */
void svm_flush(struct svm_vcpu *h);
/* The next new ASID on this CPU begins a new generation, with a flush. */
void svm_renew_asids(void);

void svm_run(struct vcpu *v);
void svm_exit_other(struct vcpu *v);
/* Length of the instruction that exited, of `usual` bytes without prefixes. */
uint32_t svm_insn_bytes(const struct vmcb *vmcb, uint32_t usual);

bool svm_can_inject(struct vcpu *v);
void svm_inject_interrupt(struct vcpu *v, uint8_t vector);
void svm_inject_exception(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error);
void svm_inject_nmi(struct vcpu *v);
bool svm_nmi_waiting(const struct vcpu *v);
/* Puts what is waiting into the VMCB; part of an entry. False: a triple fault. */
bool svm_deliver(struct vcpu *v);
/* If the exit cut the delivery of an event short, it is delivered again at the next entry. For exits that are
 * not an instruction's. */
void svm_keep_event(struct svm_vcpu *h, const struct vmcb *vmcb);

uint64_t svm_get_sys(struct vcpu *v, enum sysreg reg);
void svm_set_sys(struct vcpu *v, enum sysreg reg, uint64_t value);
void svm_get_seg(struct vcpu *v, enum seg seg, struct segment *out);
void svm_set_seg(struct vcpu *v, enum seg seg, const struct segment *in);
void svm_set_tsc_offset(struct vcpu *v, uint64_t offset);

const char *svm_audit(struct vcpu *v);
void svm_dump(struct vcpu *v);

/* What every VMCB intercepts; VINTR and IRET come and go. #DB and #AC: see vmx/vcpu.c. */
#define SVM_INTERCEPT1                                                                                       \
    (INTERCEPT_INTR | INTERCEPT_NMI | INTERCEPT_RDPMC | INTERCEPT_CPUID | INTERCEPT_INVD | INTERCEPT_HLT |   \
     INTERCEPT_INVLPGA | INTERCEPT_IOIO | INTERCEPT_MSR | INTERCEPT_TASK | INTERCEPT_SHUTDOWN)
#define SVM_INTERCEPT2                                                                                       \
    (INTERCEPT_VMRUN | INTERCEPT_VMMCALL | INTERCEPT_VMLOAD | INTERCEPT_VMSAVE | INTERCEPT_STGI |            \
     INTERCEPT_CLGI | INTERCEPT_SKINIT | INTERCEPT_WBINVD | INTERCEPT_MONITOR | INTERCEPT_MWAIT |            \
     INTERCEPT_XSETBV | INTERCEPT_RDPRU)
#define SVM_EXCEPTIONS (1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC)

#endif
