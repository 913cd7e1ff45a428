/* SPDX-License-Identifier: MIT
 *
 * What VMRUN would refuse without saying why (APM 2 15.5.1), and what must hold for the guest to stay inside.
 * In words.
 */
#include "virt/svm/svm.h"

#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

#define ATTR_L  (1u << 9)
#define ATTR_DB (1u << 10)

static const char *isolation(struct vcpu *v, const struct vmcb *c)
{
    const struct svm_vcpu *h = v->hw;
    uint32_t passing = INTERCEPT_VINTR | INTERCEPT_IRET;

    if (!(c->np_enable & 1)) return "nested paging is off";
    if (c->n_cr3 != v->vm->p2m.root) return "nested CR3 is not this VM's map";
    if ((c->intercept1 & ~passing) != SVM_INTERCEPT1) return "intercepts changed";
    if (c->intercept2 != SVM_INTERCEPT2) return "intercepts of AMD-V instructions changed";
    if (c->intercept_exceptions != SVM_EXCEPTIONS) return "exception intercepts changed";
    if (c->iopm != svm_iopm() || c->msrpm != svm_msrpm()) return "permission maps are not ours";
    if (!(c->v_masking & V_MASKING)) return "the guest's IF would mask host interrupts";
    if (!(rdmsr(MSR_EFER) & EFER_NXE))
        return "host EFER.NXE is off: no-execute second-level entries would fault";
    if (v->tlb.gate & 1) return "the gate of its TLB was left open";
    if (this_cpu()->live_vcpu != v) return NULL;
    if (c->asid == 0 || c->asid >= svm_caps.asids) return "ASID out of range";
    if (h->asid_cpu != this_cpu()->index) return "ASID is another CPU's";
    if (h->host_vmcb != svm_this_cpu()->host_vmcb) return "host state is another CPU's";
    return NULL;
}

static const char *guest_state(struct vcpu *v, const struct vmcb *c)
{
    const struct svm_vcpu *h = v->hw;
    bool lma = (c->efer & EFER_LME) && (c->cr0 & CR0_PG);
    bool interrupt = (h->event & EVENT_VALID) && (h->event & EVENT_TYPE) == EVENT_INTERRUPT;

    if (!(c->efer & EFER_SVME)) return "EFER.SVME is clear";
    if (!(c->cr0 & CR0_CD) && (c->cr0 & CR0_NW)) return "CR0.NW without CD";
    if (c->cr0 >> 32) return "CR0 has high bits";
    if (c->cr3 >> 52) return "CR3 has bits above the address width";
    if (c->dr6 >> 32 || c->dr7 >> 32) return "DR6 or DR7 has high bits";
    if (lma && !(c->cr4 & CR4_PAE)) return "long mode without PAE";
    if (lma && !(c->cr0 & CR0_PE)) return "long mode without protection";
    if (lma && (c->seg[SEG_CS].attr & ATTR_L) && (c->seg[SEG_CS].attr & ATTR_DB))
        return "CS has both L and D";
    if (lma != ((c->efer & EFER_LMA) != 0)) return "EFER.LMA disagrees with LME and paging";
    if (!(v->regs.rflags & RFLAGS_ONE)) return "RFLAGS bit 1 is clear";
    if (interrupt && !(v->regs.rflags & RFLAGS_IF)) return "an interrupt is injected with IF clear";
    if (interrupt && !v->clear_shadow && (c->shadow & 1))
        return "an interrupt is injected behind STI or MOV SS";
    return NULL;
}

const char *svm_audit(struct vcpu *v)
{
    const struct svm_vcpu *h = v->hw;
    const char *why = isolation(v, h->vmcb);
    return why != NULL ? why : guest_state(v, h->vmcb);
}
