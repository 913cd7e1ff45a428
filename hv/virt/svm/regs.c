/* SPDX-License-Identifier: MIT
 *
 * Guest registers in and out of the VMCB.
 */
#include "virt/svm/svm.h"

#include "vm/vm.h"
#include "x86/msr.h"

/* Where a register is in the VMCB; 0: not 64 bits of it. */
#define AT(field) offsetof(struct vmcb, field)
static const uint16_t place[SYS_COUNT] = {
    [SYS_CR0] = AT(cr0),
    [SYS_CR2] = AT(cr2),
    [SYS_CR3] = AT(cr3),
    [SYS_CR4] = AT(cr4),
    [SYS_EFER] = AT(efer),
    [SYS_GDT_BASE] = AT(gdtr.base),
    [SYS_IDT_BASE] = AT(idtr.base),
    [SYS_PAT] = AT(g_pat),
    [SYS_STAR] = AT(star),
    [SYS_LSTAR] = AT(lstar),
    [SYS_CSTAR] = AT(cstar),
    [SYS_FMASK] = AT(sfmask),
    [SYS_FS_BASE] = AT(seg[SEG_FS].base),
    [SYS_GS_BASE] = AT(seg[SEG_GS].base),
    [SYS_KERNEL_GS_BASE] = AT(kernel_gs_base),
    [SYS_SYSENTER_CS] = AT(sysenter_cs),
    [SYS_SYSENTER_ESP] = AT(sysenter_esp),
    [SYS_SYSENTER_EIP] = AT(sysenter_eip),
    [SYS_DEBUGCTL] = AT(debugctl),
};

static uint64_t *field(struct vcpu *v, enum sysreg reg)
{
    struct svm_vcpu *h = v->hw;
    return (uint64_t *)(void *)((uint8_t *)h->vmcb + place[reg]);
}

uint64_t svm_get_sys(struct vcpu *v, enum sysreg reg)
{
    struct svm_vcpu *h = v->hw;
    switch (reg) {
    case SYS_GDT_LIMIT: return h->vmcb->gdtr.limit;
    case SYS_IDT_LIMIT: return h->vmcb->idtr.limit;
    case SYS_EFER: return h->vmcb->efer & ~EFER_SVME;
    default: return *field(v, reg);
    }
}

/* Long mode begins and ends with CR0.PG (APM 2 14.6.1). */
static void update_lma(struct vmcb *c)
{
    bool lma = (c->cr0 & CR0_PG) && (c->efer & EFER_LME);
    c->efer = lma ? c->efer | EFER_LMA : c->efer & ~EFER_LMA;
}

void svm_set_sys(struct vcpu *v, enum sysreg reg, uint64_t value)
{
    struct svm_vcpu *h = v->hw;
    switch (reg) {
    case SYS_GDT_LIMIT: h->vmcb->gdtr.limit = (uint16_t)value; return;
    case SYS_IDT_LIMIT: h->vmcb->idtr.limit = (uint16_t)value; return;
    case SYS_EFER: value |= EFER_SVME; break; /* APM 2 15.5.1: VMRUN insists */
    default: break;
    }
    *field(v, reg) = value;
    if (reg == SYS_CR0 || reg == SYS_EFER) update_lma(h->vmcb);
    if (reg == SYS_CR0 || reg == SYS_CR3 || reg == SYS_CR4 || reg == SYS_EFER) tlb_forget(&v->tlb);
}

static struct vmcb_segment *segment(struct vmcb *c, enum seg seg)
{
    return seg == SEG_LDTR ? &c->ldtr : seg == SEG_TR ? &c->tr : &c->seg[seg];
}

/* The VMCB packs bits 12-15 of the rights right behind bit 7. An unusable segment is one that is not present.
 */
void svm_get_seg(struct vcpu *v, enum seg seg, struct segment *out)
{
    struct svm_vcpu *h = v->hw;
    const struct vmcb_segment *s = segment(h->vmcb, seg);
    out->base = s->base;
    out->limit = s->limit;
    out->selector = s->selector;
    out->attr = (uint16_t)((s->attr & 0xFF) | (s->attr & 0xF00) << 4);
    out->unusable = !(s->attr & 0x80);
    /* SYSCALL leaves SS.DPL as it was: the CPL is kept apart (APM 2 15.5.1). */
    if (seg == SEG_SS) out->attr = (uint16_t)((out->attr & ~0x60u) | (unsigned)h->vmcb->cpl << 5);
}

void svm_set_seg(struct vcpu *v, enum seg seg, const struct segment *in)
{
    struct svm_vcpu *h = v->hw;
    struct vmcb_segment *s = segment(h->vmcb, seg);
    s->base = in->base;
    s->limit = in->limit;
    s->selector = in->selector;
    s->attr = in->unusable ? 0 : (uint16_t)((in->attr & 0xFF) | ((in->attr >> 4) & 0xF00));
    if (seg == SEG_SS) h->vmcb->cpl = (in->attr >> 5) & 3;
}

void svm_set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    struct svm_vcpu *h = v->hw;
    h->vmcb->tsc_offset = offset;
}
