/* SPDX-License-Identifier: MIT
 *
 * A VMCB from creation to its end; ASIDs; whose live state is in the CPU.
 */
#include "virt/svm/svm.h"

#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

#define DR6_RESET    0xFFFF0FF0u
#define DR7_RESET    0x400u
#define PAT_RESET    0x0007040600070406ull
#define RFLAGS_RESET 2u
#define NO_CPU       UINT32_MAX

/* ---- being current ---- */

void svm_park(void)
{
    struct percpu *cpu = this_cpu();
    if (cpu->live_vcpu == NULL) return;
    struct svm_vcpu *h = cpu->live_vcpu->hw;
    live_save_common(&h->live);
    cpu->live_vcpu = NULL;
}

/* TLBs tag translations with nothing but the ASID (APM 2 15.16), so each vCPU has its own and flushes for itself. ASIDs of a CPU
 * are given out once per generation; one of another CPU or generation is not used again: what its vCPU has
 * invalidated elsewhere since, with INVLPG or by loading CR3, may still be here under it. */
static bool asid_usable(const struct svm_vcpu *h)
{
    return h->asid_cpu == this_cpu()->index && h->asid_generation == svm_this_cpu()->asid_generation;
}

static void new_asid(struct svm_vcpu *h)
{
    struct svm_cpu *cpu = svm_this_cpu();
    if (cpu->next_asid >= svm_caps.asids) {
        /* All used: everybody gets a new one, and the old ones' translations go (APM 2 15.16). */
        cpu->asid_generation++;
        cpu->next_asid = 1;
        h->vmcb->tlb_control = TLB_CONTROL_ALL;
    }
    h->vmcb->asid = cpu->next_asid++;
    h->asid_generation = cpu->asid_generation;
    h->asid_cpu = this_cpu()->index;
}

void svm_flush(struct svm_vcpu *h)
{
    if (svm_caps.flush_by_asid && asid_usable(h))
        h->vmcb->tlb_control = TLB_CONTROL_ASID; /* APM 2 15.16.1 */
    else
        new_asid(h);
}

void svm_renew_asids(void)
{
    svm_this_cpu()->next_asid = svm_caps.asids;
}

void svm_make_current(struct vcpu *v)
{
    struct svm_cpu *cpu = svm_this_cpu();
    struct svm_vcpu *h = v->hw;

    svm_park();
    live_check(v);
    /* What VMLOAD takes from the host after each exit: FS, GS, TR, LDTR, SYSCALL and SYSENTER MSRs. */
    __asm__ volatile("vmsave %%rax" : : "a"(cpu->host_vmcb) : "memory");
    if (!asid_usable(h)) tlb_forget(&v->tlb);
    live_load_common(&h->live);
    h->host_vmcb = cpu->host_vmcb;
    this_cpu()->live_vcpu = v;
}

/* ---- life ---- */

bool svm_vcpu_create(struct vcpu *v)
{
    mfn_t state = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    mfn_t vmcb = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    if (state == MFN_NONE || vmcb == MFN_NONE) {
        if (state != MFN_NONE) frame_free(state);
        if (vmcb != MFN_NONE) frame_free(vmcb);
        return false;
    }
    struct svm_vcpu *h = mfn_to_virt(state);
    struct vmcb *c = mfn_to_virt(vmcb);
    h->vmcb = c;
    h->vmcb_hpa = vmcb << PAGE_SHIFT;
    h->asid_cpu = NO_CPU;
    v->hw = h;
    c->intercept_exceptions = SVM_EXCEPTIONS;
    c->intercept1 = SVM_INTERCEPT1;
    c->intercept2 = SVM_INTERCEPT2;
    c->iopm = svm_iopm();
    c->msrpm = svm_msrpm();
    c->np_enable = 1;
    c->n_cr3 = v->vm->p2m.root;
    svm_reset_flat(v, 0);
    return true;
}

void svm_vcpu_destroy(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    if (this_cpu()->live_vcpu == v) svm_park();
    live_check(v);
    frame_free(h->vmcb_hpa >> PAGE_SHIFT);
    frame_free(virt_to_hpa(h) >> PAGE_SHIFT);
    v->hw = NULL;
}

/* ---- reset ---- */

static void reset_common(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    struct vmcb *c = h->vmcb;
    const struct segment data = {.limit = 0xFFFF, .attr = 0x93};
    const struct segment ldt = {.limit = 0xFFFF, .attr = 0x82};
    const struct segment task = {.limit = 0xFFFF, .attr = 0x8B};

    if (this_cpu()->live_vcpu == v) svm_park();
    live_reset(&h->live);
    memset(&v->regs, 0, sizeof(v->regs));
    v->regs.rflags = RFLAGS_RESET;
    v->clear_shadow = false;
    v->window_wanted = false;
    tlb_forget(&v->tlb);
    h->event = 0;
    h->nmi_waiting = false;
    h->deliver = false;
    h->nmi_blocked = false;
    c->intercept1 = SVM_INTERCEPT1;
    c->v_tpr = 0;
    c->v_irq = 0;
    c->v_masking = V_MASKING;
    c->shadow = 0;
    c->event_inj = 0;
    /* The save area from the segments on; VMLOAD state included. */
    memset(c->seg, 0, offsetof(struct vmcb, reserved10) - offsetof(struct vmcb, seg));
    for (enum seg s = SEG_ES; s <= SEG_GS; s++) svm_set_seg(v, s, &data);
    svm_set_seg(v, SEG_LDTR, &ldt);
    svm_set_seg(v, SEG_TR, &task);
    c->gdtr.limit = 0xFFFF;
    c->idtr.limit = 0xFFFF;
    c->efer = EFER_SVME;
    c->dr6 = DR6_RESET;
    c->dr7 = DR7_RESET;
    c->g_pat = PAT_RESET;
}

void svm_reset_flat(struct vcpu *v, uint32_t entry)
{
    struct svm_vcpu *h = v->hw;
    const struct segment code = {.limit = UINT32_MAX, .selector = 0x10, .attr = 0xC09B};
    const struct segment data = {.limit = UINT32_MAX, .selector = 0x18, .attr = 0xC093};

    reset_common(v);
    h->vmcb->cr0 = CR0_PE | CR0_ET | CR0_NE;
    for (enum seg s = SEG_ES; s <= SEG_GS; s++) svm_set_seg(v, s, s == SEG_CS ? &code : &data);
    v->regs.rip = entry;
}

void svm_reset_sipi(struct vcpu *v, uint8_t vector)
{
    struct svm_vcpu *h = v->hw;
    const struct segment code = {
        .base = (uint64_t)vector << 12, .limit = 0xFFFF, .selector = (uint16_t)(vector << 8), .attr = 0x9B};

    reset_common(v);
    h->vmcb->cr0 = CR0_CD | CR0_NW | CR0_ET;
    svm_set_seg(v, SEG_CS, &code);
    v->regs.gpr[RDX] = cpuid(1, 0).eax; /* APM 2 table 14-1: family, model, stepping */
}
