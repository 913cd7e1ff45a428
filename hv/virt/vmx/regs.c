/* SPDX-License-Identifier: MIT
 *
 * Guest registers in and out of the VMCS.
 */
#include "virt/vmx/vmx.h"

#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/msr.h"

#define CR4_GUEST                                                                                            \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR |             \
     CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP)

uint64_t vmx_cr4_guest(void)
{
    return CR4_GUEST & vmx_caps.cr4_may;
}

void vmx_forget_translations(struct vcpu *v)
{
    tlb_forget(&v->tlb);
}

/* ---- control registers: what the guest sees = its own bits of the real register + the shadow of the rest
 * ---- */

static uint64_t get_cr(enum vmcs_field real, enum vmcs_field mask, enum vmcs_field shadow)
{
    uint64_t hidden = vmread(mask);
    return (vmread(real) & ~hidden) | (vmread(shadow) & hidden);
}

/* Long mode begins and ends with CR0.PG (SDM 3A 10.8.5); the entry control must agree (SDM 3C 27.3.1.1). */
static void set_efer(uint64_t efer, bool paging)
{
    uint64_t entry = vmread(ENTRY_CONTROLS);
    bool lma = paging && (efer & EFER_LME);
    vmwrite(GUEST_EFER, lma ? efer | EFER_LMA : efer & ~EFER_LMA);
    vmwrite(ENTRY_CONTROLS, lma ? entry | ENTRY_IA32E : entry & ~(uint64_t)ENTRY_IA32E);
}

/* PAE without long mode keeps its four top entries in the CPU (SDM 3A 4.4.1); a MOV that changes paging loads
 * them. Without RAM there: nothing is mapped. */
static void load_pdptes(struct vcpu *v)
{
    uint64_t pdpte[4] = {0};
    if (!vm_read(v->vm, vmread(GUEST_CR3) & 0xFFFFFFE0u, pdpte, sizeof(pdpte))) pdpte[0] = 0;
    /* A present entry with reserved bits would be refused at entry (SDM 3C 27.3.1.6). */
    for (unsigned i = 0; i < 4; i++)
        vmwrite(vmcs_nth(GUEST_PDPTE0, i), pdpte[i] & 1 ? pdpte[i] & ~0x1E6ull : 0);
}

static void paging_changed(struct vcpu *v)
{
    if ((vmread(GUEST_CR0) & CR0_PG) && (vmread(GUEST_CR4) & CR4_PAE) && !(vmread(GUEST_EFER) & EFER_LMA))
        load_pdptes(v);
    vmx_forget_translations(v);
}

void vmx_set_cr0(struct vcpu *v, uint64_t value)
{
    vmwrite(CR0_SHADOW, value);
    vmwrite(GUEST_CR0, (value & ~(CR0_CD | CR0_NW)) | CR0_ET | vmx_caps.cr0_must);
    set_efer(vmread(GUEST_EFER), (value & CR0_PG) != 0);
    paging_changed(v);
}

void vmx_set_cr4(struct vcpu *v, uint64_t value)
{
    vmwrite(CR4_SHADOW, value);
    vmwrite(GUEST_CR4, (value & vmx_cr4_guest()) | vmx_caps.cr4_must | (read_cr4() & CR4_MCE));
    paging_changed(v);
}

/* ---- system registers ---- */

/* Those that are VMCS fields and nothing more; 0 marks the others (VPID is no register). */
static const enum vmcs_field plain[SYS_COUNT] = {
    [SYS_CR3] = GUEST_CR3,
    [SYS_GDT_BASE] = GUEST_GDT_BASE,
    [SYS_GDT_LIMIT] = GUEST_GDT_LIMIT,
    [SYS_IDT_BASE] = GUEST_IDT_BASE,
    [SYS_IDT_LIMIT] = GUEST_IDT_LIMIT,
    [SYS_PAT] = GUEST_PAT,
    [SYS_FS_BASE] = GUEST_ES_BASE + 2 * SEG_FS,
    [SYS_GS_BASE] = GUEST_ES_BASE + 2 * SEG_GS,
    [SYS_SYSENTER_CS] = GUEST_SYSENTER_CS,
    [SYS_SYSENTER_ESP] = GUEST_SYSENTER_ESP,
    [SYS_SYSENTER_EIP] = GUEST_SYSENTER_EIP,
    [SYS_DEBUGCTL] = GUEST_DEBUGCTL,
};

/* Those in the CPU while the vCPU is current. */
static const uint32_t live_msr[SYS_COUNT] = {
    [SYS_STAR] = MSR_STAR,
    [SYS_LSTAR] = MSR_LSTAR,
    [SYS_CSTAR] = MSR_CSTAR,
    [SYS_FMASK] = MSR_FMASK,
    [SYS_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
};

uint64_t vmx_get_sys(struct vcpu *v, enum sysreg reg)
{
    vmx_make_current(v);
    if (plain[reg] != 0) return vmread(plain[reg]);
    if (live_msr[reg] != 0) return rdmsr(live_msr[reg]);
    switch (reg) {
    case SYS_CR0: return get_cr(GUEST_CR0, CR0_MASK, CR0_SHADOW);
    case SYS_CR4: return get_cr(GUEST_CR4, CR4_MASK, CR4_SHADOW);
    case SYS_CR2: return read_cr2();
    case SYS_EFER: return vmread(GUEST_EFER);
    default: return 0;
    }
}

void vmx_set_sys(struct vcpu *v, enum sysreg reg, uint64_t value)
{
    vmx_make_current(v);
    if (plain[reg] != 0) {
        vmwrite(plain[reg], value);
        if (reg == SYS_CR3) paging_changed(v);
        return;
    }
    if (live_msr[reg] != 0) {
        wrmsr(live_msr[reg], value);
        return;
    }
    switch (reg) {
    case SYS_CR0: vmx_set_cr0(v, value); break;
    case SYS_CR4: vmx_set_cr4(v, value); break;
    case SYS_CR2: write_cr2(value); break;
    case SYS_EFER:
        set_efer(value, (vmread(GUEST_CR0) & CR0_PG) != 0);
        vmx_forget_translations(v);
        break;
    default: break;
    }
}

/* ---- segments ---- */

void vmx_get_seg(struct vcpu *v, enum seg seg, struct segment *out)
{
    vmx_make_current(v);
    uint64_t rights = vmread(vmcs_nth(GUEST_ES_RIGHTS, seg));
    out->base = vmread(vmcs_nth(GUEST_ES_BASE, seg));
    out->limit = (uint32_t)vmread(vmcs_nth(GUEST_ES_LIMIT, seg));
    out->selector = (uint16_t)vmread(vmcs_nth(GUEST_ES_SEL, seg));
    out->attr = (uint16_t)rights;
    out->unusable = (rights & RIGHTS_UNUSABLE) != 0;
}

void vmx_set_seg(struct vcpu *v, enum seg seg, const struct segment *in)
{
    vmx_make_current(v);
    vmwrite(vmcs_nth(GUEST_ES_BASE, seg), in->base);
    vmwrite(vmcs_nth(GUEST_ES_LIMIT, seg), in->limit);
    vmwrite(vmcs_nth(GUEST_ES_SEL, seg), in->selector);
    vmwrite(vmcs_nth(GUEST_ES_RIGHTS, seg), in->unusable ? RIGHTS_UNUSABLE : in->attr);
}

void vmx_set_tsc_offset(struct vcpu *v, uint64_t offset)
{
    vmx_make_current(v);
    vmwrite(TSC_OFFSET, offset);
}
