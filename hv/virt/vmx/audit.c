/* SPDX-License-Identifier: MIT
 *
 * What VM entry would refuse without saying why (SDM 3C 27.2-27.3), and what must hold for the guest to stay
 * inside. In words. The general registers' part of the state is checked where it will be written: from
 * v->regs.
 */
#include "virt/vmx/vmx.h"

#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

#define SEG_TYPE        0xFu
#define SEG_S           (1u << 4)
#define SEG_DPL(rights) (((rights) >> 5) & 3)
#define SEG_P           (1u << 7)
#define SEG_L           (1u << 13)
#define SEG_DB          (1u << 14)
#define SEG_G           (1u << 15)

static bool canonical(uint64_t address)
{
    return (uint64_t)((int64_t)(address << 16) >> 16) == address;
}

static const char *isolation(struct vcpu *v)
{
    const struct vmx_vcpu *h = v->hw;
    uint32_t cpu = (uint32_t)vmread(CPU_CONTROLS), cpu2 = (uint32_t)vmread(CPU_CONTROLS2);

    if (vmread(EPT_POINTER) != ept_pointer(v->vm->p2m.root, vmx_caps.ept_vpid))
        return "EPT pointer is not this VM's map";
    if (vmread(PIN_CONTROLS) != vmx_caps.pin) return "pin-based controls changed: interrupts would not exit";
    if (cpu != h->cpu_controls) return "processor controls are not what was written last";
    if ((cpu & ~(CPU_INTERRUPT_WINDOW | CPU_NMI_WINDOW)) != vmx_caps.cpu) return "processor controls changed";
    if (cpu2 != vmx_caps.cpu2) return "secondary controls changed";
    if (vmread(EXIT_CONTROLS) != vmx_caps.exit) return "exit controls changed";
    if (vmread(MSR_BITMAP) != vmx_msr_bitmap()) return "MSR bitmap is not ours";
    if (vmread(VPID) == 0) return "VPID 0 is the host's";
    if (~vmread(CR0_MASK) & (CR0_CD | CR0_NW | CR0_NE)) return "CR0 mask lets the guest switch caching off";
    if (~vmread(CR4_MASK) & ~vmx_cr4_guest()) return "CR4 mask lets the guest change the core's bits";
    if (vmread(VMCS_LINK) != UINT64_MAX) return "VMCS link pointer is set";
    if (v->tlb.gate & 1) return "the gate of its TLB was left open";
    return NULL;
}

static const char *host_state(void)
{
    if (vmread(HOST_CR3) != read_cr3()) return "host CR3 is not what the core runs on";
    if (vmread(HOST_GS_BASE) != (uint64_t)this_cpu()) return "host GS base is another CPU's";
    if (vmread(HOST_TR_BASE) != (uint64_t)&this_cpu()->tss) return "host TR base is another CPU's";
    if (vmread(HOST_GDT_BASE) != (uint64_t)&this_cpu()->gdt) return "host GDT is another CPU's";
    if (vmread(HOST_CR0) != read_cr0()) return "host CR0 changed since the VMCS was made";
    if (vmread(HOST_CR4) != read_cr4()) return "host CR4 changed since the VMCS was made";
    if (vmread(HOST_EFER) != rdmsr(MSR_EFER)) return "host EFER changed since the VMCS was made";
    return NULL;
}

/* SDM 3C 27.3.1.1. */
static const char *control_registers(void)
{
    uint64_t cr0 = vmread(GUEST_CR0), cr4 = vmread(GUEST_CR4), efer = vmread(GUEST_EFER);
    bool ia32e = vmread(ENTRY_CONTROLS) & ENTRY_IA32E;

    if ((cr0 & vmx_caps.cr0_must) != vmx_caps.cr0_must)
        return "guest CR0 lacks a bit that VMX operation fixes";
    if (cr0 & (CR0_CD | CR0_NW)) return "guest CR0 switches caching off";
    if ((cr0 & CR0_PG) && !(cr0 & CR0_PE)) return "guest CR0 has PG without PE";
    if ((cr4 & vmx_caps.cr4_must) != vmx_caps.cr4_must)
        return "guest CR4 lacks a bit that VMX operation fixes";
    if (cr4 & ~vmx_caps.cr4_may) return "guest CR4 has a bit this CPU lacks";
    if (ia32e && !((cr0 & CR0_PG) && (cr4 & CR4_PAE))) return "long mode without paging and PAE";
    if (!ia32e && (cr4 & CR4_PCIDE)) return "CR4.PCIDE outside long mode";
    if (ia32e != ((efer & EFER_LMA) != 0)) return "EFER.LMA and the entry control disagree";
    if ((cr0 & CR0_PG) && ia32e != ((efer & EFER_LME) != 0))
        return "EFER.LMA and LME disagree with paging on";
    if (efer & ~(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)) return "reserved bits in guest EFER";
    if (!canonical(vmread(GUEST_SYSENTER_ESP)) || !canonical(vmread(GUEST_SYSENTER_EIP)))
        return "SYSENTER_ESP or EIP is not canonical";
    return NULL;
}

/* SDM 3C 27.3.1.2. */
static const char *code_and_stack(struct vcpu *v, bool ia32e)
{
    uint64_t cs = vmread(vmcs_nth(GUEST_ES_RIGHTS, SEG_CS)), ss = vmread(vmcs_nth(GUEST_ES_RIGHTS, SEG_SS));
    uint64_t limit = vmread(vmcs_nth(GUEST_ES_LIMIT, SEG_CS));
    bool real = !(vmread(GUEST_CR0) & CR0_PE);

    if (v->regs.rflags & RFLAGS_VM) return NULL; /* virtual-8086: fixed by the CPU's own rules */
    if ((cs & RIGHTS_UNUSABLE) || !(cs & SEG_P) || !(cs & SEG_S)) return "CS is not a present code segment";
    if (!(cs & 8) && (cs & SEG_TYPE) != 3) return "CS type is neither code nor accessed data";
    if (ia32e && (cs & SEG_L) && (cs & SEG_DB)) return "CS has both L and D";
    if (((limit & 0xFFF) != 0xFFF && (cs & SEG_G)) || ((limit >> 20) != 0 && !(cs & SEG_G)))
        return "CS limit and granularity disagree";
    if (!(ss & RIGHTS_UNUSABLE) && (!(ss & SEG_P) || !(ss & SEG_S)))
        return "SS is not a present data segment";
    if (real && SEG_DPL(ss) != 0) return "SS.DPL is not 0 in real mode";
    if ((!ia32e || !(cs & SEG_L)) && v->regs.rip >> 32) return "RIP is above 4 GiB outside 64-bit code";
    return NULL;
}

static const char *system_segments(bool ia32e)
{
    uint64_t tr = vmread(vmcs_nth(GUEST_ES_RIGHTS, SEG_TR)),
             ldt = vmread(vmcs_nth(GUEST_ES_RIGHTS, SEG_LDTR));
    uint64_t type = tr & SEG_TYPE;

    if ((tr & RIGHTS_UNUSABLE) || !(tr & SEG_P) || (tr & SEG_S)) return "TR is not a present system segment";
    if (type != 11 && (ia32e || type != 3)) return "TR is not a busy TSS";
    if (!(ldt & RIGHTS_UNUSABLE) && (ldt & (SEG_TYPE | SEG_S | SEG_P)) != (2 | SEG_P))
        return "LDTR is not an LDT";
    if (!canonical(vmread(GUEST_GDT_BASE)) || !canonical(vmread(GUEST_IDT_BASE)))
        return "GDT or IDT base is not canonical";
    if (vmread(GUEST_GDT_LIMIT) >> 16 || vmread(GUEST_IDT_LIMIT) >> 16)
        return "GDT or IDT limit above 64 KiB";
    return NULL;
}

/* SDM 3C 27.3.1.4, 27.3.1.5. */
static const char *flags_and_event(struct vcpu *v)
{
    const struct vmx_vcpu *h = v->hw;
    uint64_t flags = v->regs.rflags, blocking = v->clear_shadow ? 0 : vmread(GUEST_BLOCKING);
    bool interrupt = (h->entry_event & EVENT_VALID) && (h->entry_event & EVENT_TYPE) == EVENT_INTERRUPT;

    if ((flags & ~0x3F7FD7ull) || !(flags & RFLAGS_ONE)) return "RFLAGS has reserved bits wrong";
    if (interrupt && !(flags & RFLAGS_IF)) return "an interrupt is injected with IF clear";
    if (interrupt && (blocking & (BLOCKING_STI | BLOCKING_MOV_SS)))
        return "an interrupt is injected behind STI or MOV SS";
    if ((blocking & BLOCKING_STI) && (blocking & BLOCKING_MOV_SS)) return "blocking by both STI and MOV SS";
    if ((blocking & BLOCKING_STI) && !(flags & RFLAGS_IF)) return "blocking by STI with IF clear";
    if (vmread(GUEST_ACTIVITY) != 0) return "activity state is not active";
    return NULL;
}

const char *vmx_audit(struct vcpu *v)
{
    vmx_make_current(v);
    bool ia32e = vmread(ENTRY_CONTROLS) & ENTRY_IA32E;
    const char *why = isolation(v);
    if (why == NULL) why = host_state();
    if (why == NULL) why = control_registers();
    if (why == NULL) why = code_and_stack(v, ia32e);
    if (why == NULL) why = system_segments(ia32e);
    if (why == NULL) why = flags_and_event(v);
    return why;
}
