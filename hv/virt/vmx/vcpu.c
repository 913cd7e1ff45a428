/* SPDX-License-Identifier: MIT
 *
 * A VMCS from creation to its end, and which one is loaded.
 */
#include "virt/vmx/vmx.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/desc.h"
#include "x86/msr.h"
#include "x86/percpu.h"

/* Control-register bits the guest may change without an exit; of all others it sees a shadow. CR0: what
 * switches caching off or is fixed in VMX operation stays the core's. CR4: what has state or meaning that is
 * not switched (VMX, SMX, keys, CET, 57-bit addresses) or is the core's (MCE). */
#define CR0_GUEST (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM | CR0_PG)

/* #DB and #AC: a guest can make the CPU deliver them for ever without an instruction boundary (CVE-2015-8104,
 * CVE-2015-5307). #MC is the host's. */
#define EXCEPTIONS_CAUGHT (1u << VECTOR_DB | 1u << VECTOR_AC | 1u << VECTOR_MC)

#define ACTIVITY_ACTIVE 0
#define DR7_RESET       0x400u
#define PAT_RESET       0x0007040600070406ull
#define RFLAGS_RESET    2u
#define NO_CPU          UINT32_MAX
#define MSR_TSC         0x10u

static hpa_t msr_bitmap;

/* Guests read and write these themselves: state that VMCS or live_state switches. All other MSRs exit. */
static const uint32_t guest_msrs[] = {
    MSR_SYSENTER_CS, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP, MSR_PAT,     MSR_STAR,           MSR_LSTAR,
    MSR_CSTAR,       MSR_FMASK,        MSR_FS_BASE,      MSR_GS_BASE, MSR_KERNEL_GS_BASE,
};

static void allow(uint8_t *bitmap, uint32_t msr, bool write)
{
    /* Four KiB-bitmaps: reads of 0-1FFFh, of C0000000h-C0001FFFh, then writes (SDM 3C 25.6.9). */
    uint32_t bit = msr & 0x1FFFu;
    uint32_t at = (write ? 0x800u : 0u) + (msr >> 31 ? 0x400u : 0u) + bit / 8;
    bitmap[at] = (uint8_t)(bitmap[at] & ~(1u << bit % 8));
}

static bool msr_bitmap_create(void)
{
    mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    if (mfn == MFN_NONE) return false;
    uint8_t *bitmap = mfn_to_virt(mfn);
    memset(bitmap, 0xFF, PAGE_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(guest_msrs); i++) {
        allow(bitmap, guest_msrs[i], false);
        allow(bitmap, guest_msrs[i], true);
    }
    allow(bitmap, MSR_TSC, false); /* with the offset */
    if (vmx_caps.cpu2 & CPU2_RDTSCP) {
        allow(bitmap, MSR_TSC_AUX, false);
        allow(bitmap, MSR_TSC_AUX, true);
    }
    msr_bitmap = mfn << PAGE_SHIFT;
    return true;
}

hpa_t vmx_msr_bitmap(void)
{
    return msr_bitmap;
}

static void vmclear(hpa_t vmcs)
{
    __asm__ volatile("vmclear %0" : : "m"(vmcs) : "cc", "memory");
}

/* ---- being current ---- */

/* The parts of the host state that differ between CPUs. */
static void write_host_state(struct vmx_vcpu *h)
{
    struct table_register gdt, idtr;
    struct percpu *cpu = this_cpu();

    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("sidt %0" : "=m"(idtr));
    vmwrite(HOST_CR0, read_cr0());
    vmwrite(HOST_CR3, read_cr3());
    vmwrite(HOST_CR4, read_cr4());
    vmwrite(HOST_GS_BASE, (uint64_t)cpu);
    vmwrite(HOST_TR_BASE, (uint64_t)&cpu->tss);
    vmwrite(HOST_GDT_BASE, gdt.base);
    vmwrite(HOST_IDT_BASE, idtr.base);
    h->host_cpu = cpu->index;
}

static void live_save(struct live_state *s)
{
    live_save_common(s);
    s->cr2 = read_cr2();
    s->dr6 = read_dr6();
    s->star = rdmsr(MSR_STAR);
    s->lstar = rdmsr(MSR_LSTAR);
    s->cstar = rdmsr(MSR_CSTAR);
    s->fmask = rdmsr(MSR_FMASK);
    s->kernel_gs_base = rdmsr(MSR_KERNEL_GS_BASE);
}

static void live_load(const struct live_state *s)
{
    live_load_common(s);
    write_cr2(s->cr2);
    write_dr6(s->dr6);
    wrmsr(MSR_STAR, s->star);
    wrmsr(MSR_LSTAR, s->lstar);
    wrmsr(MSR_CSTAR, s->cstar);
    wrmsr(MSR_FMASK, s->fmask);
    wrmsr(MSR_KERNEL_GS_BASE, s->kernel_gs_base);
}

void vmx_park(void)
{
    struct percpu *cpu = this_cpu();
    if (cpu->live_vcpu == NULL) return;
    struct vmx_vcpu *h = cpu->live_vcpu->hw;

    live_save(&h->live);
    /* Cleared, not just put away, so that any CPU may load it next (SDM 3C 24.11.3). */
    vmclear(h->vmcs);
    cpu->live_vcpu = NULL;
    /* VM exits leave limits of 64 KiB (SDM 3C 28.5.2): ring 3 could load selectors from behind the GDT. */
    struct table_register gdt, idtr;
    __asm__ volatile("sgdt %0" : "=m"(gdt));
    __asm__ volatile("sidt %0" : "=m"(idtr));
    gdt.limit = sizeof(struct gdt) - 1;
    idtr.limit = sizeof(idt) - 1;
    __asm__ volatile("lgdt %0" : : "m"(gdt));
    __asm__ volatile("lidt %0" : : "m"(idtr));
}

void vmx_make_current(struct vcpu *v)
{
    struct percpu *cpu = this_cpu();
    struct vmx_vcpu *h = v->hw;
    bool failed;

    if (cpu->live_vcpu == v) return;
    vmx_park();
    live_check(v);
    __asm__ volatile("vmptrld %1" : "=@ccbe"(failed) : "m"(h->vmcs) : "memory");
    if (failed)
        panic("VMPTRLD of 0x%lx failed: the VMCS of %s/%u is damaged", h->vmcs, v->vm->name, v->index);
    cpu->live_vcpu = v;
    if (h->host_cpu != cpu->index) {
        write_host_state(h);
        /* From when it was here before, or from an earlier owner of its VPID. What it has invalidated elsewhere
         * since, with INVLPG or by loading CR3, may still be here. */
        vmx_forget_translations(v);
    }
    live_load(&h->live);
}

/* ---- life ---- */

extern const char vmx_exit_entry[]; /* enter.S */

static void write_constants(struct vmx_vcpu *h, struct vm *vm, uint16_t vpid)
{
    vmwrite(PIN_CONTROLS, vmx_caps.pin);
    vmwrite(CPU_CONTROLS, vmx_caps.cpu);
    h->cpu_controls = vmx_caps.cpu;
    vmwrite(CPU_CONTROLS2, vmx_caps.cpu2);
    vmwrite(EXIT_CONTROLS, vmx_caps.exit);
    vmwrite(ENTRY_CONTROLS, vmx_caps.entry);
    vmwrite(EXCEPTION_BITMAP, EXCEPTIONS_CAUGHT);
    vmwrite(PF_ERROR_MASK, 0);
    vmwrite(PF_ERROR_MATCH, 0);
    vmwrite(CR3_TARGETS, 0);
    vmwrite(EXIT_MSR_STORES, 0);
    vmwrite(EXIT_MSR_LOADS, 0);
    vmwrite(ENTRY_MSR_LOADS, 0);
    vmwrite(ENTRY_EVENT, 0);
    vmwrite(MSR_BITMAP, msr_bitmap);
    vmwrite(EPT_POINTER, ept_pointer(vm->p2m.root, vmx_caps.ept_vpid));
    vmwrite(VPID, vpid);
    if (vmx_caps.cpu2 & CPU2_XSAVES) vmwrite(XSS_EXIT_BITMAP, 0); /* IA32_XSS itself exits */
    vmwrite(VMCS_LINK, UINT64_MAX);
    vmwrite(TSC_OFFSET, 0);
    vmwrite(CR0_MASK, ~CR0_GUEST);
    vmwrite(CR4_MASK, ~vmx_cr4_guest());

    vmwrite(HOST_EFER, rdmsr(MSR_EFER));
    vmwrite(HOST_PAT, rdmsr(MSR_PAT));
    vmwrite(HOST_CS_SEL, SEL_CORE_CS);
    vmwrite(HOST_SS_SEL, SEL_CORE_DS);
    vmwrite(HOST_DS_SEL, 0);
    vmwrite(HOST_ES_SEL, 0);
    vmwrite(HOST_FS_SEL, 0);
    vmwrite(HOST_GS_SEL, 0);
    vmwrite(HOST_TR_SEL, SEL_TSS);
    vmwrite(HOST_FS_BASE, 0);
    vmwrite(HOST_SYSENTER_CS, 0);
    vmwrite(HOST_SYSENTER_ESP, 0);
    vmwrite(HOST_SYSENTER_EIP, 0);
    vmwrite(HOST_RIP, (uint64_t)vmx_exit_entry);
}

bool vmx_vcpu_create(struct vcpu *v)
{
    if (msr_bitmap == 0 && !msr_bitmap_create()) return false;
    mfn_t state = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    mfn_t vmcs = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    if (state == MFN_NONE || vmcs == MFN_NONE) {
        if (state != MFN_NONE) frame_free(state);
        if (vmcs != MFN_NONE) frame_free(vmcs);
        return false;
    }
    struct vmx_vcpu *h = mfn_to_virt(state);
    *(uint32_t *)mfn_to_virt(vmcs) = vmx_caps.revision;
    h->vmcs = vmcs << PAGE_SHIFT;
    h->host_cpu = NO_CPU;
    live_reset(&h->live);
    v->hw = h;
    vmclear(h->vmcs);
    vmx_make_current(v);
    /* Unique among live vCPUs. A later vCPU that gets it flushes it where it comes first: see make_current. */
    write_constants(h, v->vm, (uint16_t)(v->vm->slot * VCPUS_MAX + v->index + 1));
    vmx_reset_flat(v, 0);
    return true;
}

void vmx_vcpu_destroy(struct vcpu *v)
{
    struct vmx_vcpu *h = v->hw;
    if (this_cpu()->live_vcpu == v) vmx_park();
    live_check(v);
    frame_free(h->vmcs >> PAGE_SHIFT);
    frame_free(virt_to_hpa(h) >> PAGE_SHIFT);
    v->hw = NULL;
}

/* ---- reset ---- */

static void reset_common(struct vcpu *v)
{
    struct vmx_vcpu *h = v->hw;
    const struct segment data = {.limit = 0xFFFF, .attr = 0x93};
    const struct segment ldt = {.limit = 0xFFFF, .attr = 0x82};
    const struct segment task = {.limit = 0xFFFF, .attr = 0x8B};

    vmx_make_current(v);
    live_reset(&h->live);
    live_load(&h->live);
    memset(&v->regs, 0, sizeof(v->regs));
    v->regs.rflags = RFLAGS_RESET;
    v->clear_shadow = false;
    v->window_wanted = false;
    h->entry_event = 0;
    h->nmi_waiting = false;
    h->deliver = false;
    for (enum seg s = SEG_ES; s <= SEG_GS; s++) vmx_set_seg(v, s, &data);
    vmx_set_seg(v, SEG_LDTR, &ldt);
    vmx_set_seg(v, SEG_TR, &task);
    vmx_set_sys(v, SYS_EFER, 0);
    vmx_set_sys(v, SYS_CR3, 0);
    vmx_set_cr4(v, 0);
    vmx_set_sys(v, SYS_GDT_BASE, 0);
    vmx_set_sys(v, SYS_GDT_LIMIT, 0xFFFF);
    vmx_set_sys(v, SYS_IDT_BASE, 0);
    vmx_set_sys(v, SYS_IDT_LIMIT, 0xFFFF);
    vmx_set_sys(v, SYS_PAT, PAT_RESET);
    vmx_set_sys(v, SYS_SYSENTER_CS, 0);
    vmx_set_sys(v, SYS_SYSENTER_ESP, 0);
    vmx_set_sys(v, SYS_SYSENTER_EIP, 0);
    vmx_set_sys(v, SYS_DEBUGCTL, 0);
    vmwrite(GUEST_DR7, DR7_RESET);
    vmwrite(GUEST_RSP, 0);
    vmwrite(GUEST_RIP, 0);
    vmwrite(GUEST_RFLAGS, RFLAGS_RESET);
    h->rsp = 0;
    h->rflags = RFLAGS_RESET;
    vmwrite(GUEST_BLOCKING, 0);
    vmwrite(GUEST_ACTIVITY, ACTIVITY_ACTIVE);
    vmwrite(GUEST_PENDING_DEBUG, 0);
    vmx_reload_timer(v);
    vmx_set_controls(h, 0, CPU_INTERRUPT_WINDOW | CPU_NMI_WINDOW);
    vmx_forget_translations(v);
}

void vmx_reset_flat(struct vcpu *v, uint32_t entry)
{
    const struct segment code = {.limit = UINT32_MAX, .selector = 0x10, .attr = 0xC09B};
    const struct segment data = {.limit = UINT32_MAX, .selector = 0x18, .attr = 0xC093};

    reset_common(v);
    vmx_set_cr0(v, CR0_PE | CR0_ET | CR0_NE);
    for (enum seg s = SEG_ES; s <= SEG_GS; s++) vmx_set_seg(v, s, s == SEG_CS ? &code : &data);
    v->regs.rip = entry;
}

void vmx_reset_sipi(struct vcpu *v, uint8_t vector)
{
    const struct segment code = {
        .base = (uint64_t)vector << 12, .limit = 0xFFFF, .selector = (uint16_t)(vector << 8), .attr = 0x9B};

    reset_common(v);
    vmx_set_cr0(v, CR0_CD | CR0_NW | CR0_ET);
    vmx_set_seg(v, SEG_CS, &code);
    v->regs.gpr[RDX] = cpuid(1, 0).eax; /* SDM 3A table 9-1: family, model, stepping */
}
