/* SPDX-License-Identifier: MIT
 *
 * VT-x of one CPU: is it there, what can it do, on and off (SDM 3C 24.6-24.8, SDM 3D A).
 */
#include "virt/vmx/vmx.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/time.h"

#define MSR_VMX_BASIC      0x480u
#define MSR_VMX_PIN        0x481u /* then CPU, EXIT, ENTRY; the TRUE ones are 12 further */
#define MSR_VMX_MISC       0x485u
#define MSR_VMX_CR0_FIXED0 0x486u
#define MSR_VMX_CR4_FIXED0 0x488u
#define MSR_VMX_CR4_FIXED1 0x489u
#define MSR_VMX_CPU2       0x48Bu
#define MSR_VMX_EPT_VPID   0x48Cu

#define FEATURE_LOCKED (1u << 0)
#define FEATURE_VMX    (1u << 2)

#define BASIC_TRUE_CONTROLS (1ull << 55)
#define MISC_STORES_LMA     (1ull << 5)

#define EPT_WALK_4         (1ull << 6)
#define EPT_WRITE_BACK     (1ull << 14)
#define EPT_INVEPT         (1ull << 20)
#define EPT_INVEPT_CONTEXT (1ull << 25)

#define PIN_WANTED (PIN_EXT_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI)
#define TIMER_US   200u /* vmx_reload_timer */
#define CPU_WANTED                                                                                           \
    (CPU_TSC_OFFSET | CPU_HLT | CPU_MWAIT | CPU_RDPMC | CPU_CR8_LOAD | CPU_CR8_STORE | CPU_IO |              \
     CPU_MSR_BITMAP | CPU_MONITOR | CPU_SECONDARY)
/* Controls that must be 0 with these, although the non-TRUE capability MSRs say 1. */
#define CPU_UNWANTED (CPU_CR3_LOAD | CPU_CR3_STORE | CPU_INVLPG | CPU_RDTSC | CPU_IO_BITMAPS)
#define CPU2_WANTED  (CPU2_EPT | CPU2_VPID | CPU2_WBINVD | CPU2_UNRESTRICTED)
#define CPU2_LIKED   (CPU2_RDTSCP | CPU2_INVPCID | CPU2_XSAVES)
#define EXIT_WANTED                                                                                          \
    (EXIT_SAVE_DEBUG | EXIT_HOST_64 | EXIT_ACK_INTERRUPT | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |  \
     EXIT_LOAD_EFER)
#define ENTRY_WANTED (ENTRY_LOAD_DEBUG | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)

struct vmx_caps vmx_caps;
static hpa_t vmxon_region[CPUS_MAX];

/* What a capability MSR makes of `wanted`: low half, bits that must be 1; high half, bits that may (SDM 3D
 * A.3). False when a wanted bit may not be 1. */
static bool adjust(uint32_t msr, uint32_t wanted, uint32_t liked, uint32_t *out)
{
    uint64_t cap = rdmsr(msr);
    uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32);
    *out = ((wanted | liked) & may) | must;
    return (wanted & ~may) == 0;
}

static const char *find_caps(struct vmx_caps *c)
{
    uint64_t basic = rdmsr(MSR_VMX_BASIC);
    uint32_t control = MSR_VMX_PIN + (basic & BASIC_TRUE_CONTROLS ? 12 : 0);

    c->revision = (uint32_t)basic & 0x7FFFFFFFu;
    c->cr0_must = rdmsr(MSR_VMX_CR0_FIXED0) & ~(CR0_PE | CR0_PG);
    c->cr4_must = rdmsr(MSR_VMX_CR4_FIXED0);
    c->cr4_may = rdmsr(MSR_VMX_CR4_FIXED1);
    if (!adjust(control, PIN_WANTED, PIN_PREEMPTION_TIMER, &c->pin) ||
        !adjust(control + 1, CPU_WANTED, 0, &c->cpu) ||
        !adjust(control + 2, EXIT_WANTED, EXIT_SAVE_TIMER, &c->exit) ||
        !adjust(control + 3, ENTRY_WANTED, 0, &c->entry))
        return "this CPU's VT-x lacks a basic control (virtual NMIs, MSR bitmaps, or PAT and EFER switching)";
    if ((c->cpu & CPU_UNWANTED) != 0)
        return "this CPU's VT-x insists on exits of a first generation: it is too old";
    if (!adjust(MSR_VMX_CPU2, CPU2_WANTED, CPU2_LIKED, &c->cpu2))
        return "this CPU's VT-x lacks EPT, VPID or unrestricted guests: a newer one (Westmere or later) is "
               "needed";
    uint64_t ept = rdmsr(MSR_VMX_EPT_VPID);
    uint64_t needed = EPT_WALK_4 | EPT_WRITE_BACK | EPT_INVEPT | EPT_INVEPT_CONTEXT;
    if ((ept & needed) != needed) return "this CPU's EPT lacks write-back tables or single-context INVEPT";
    if ((rdmsr(MSR_VMX_MISC) & MISC_STORES_LMA) == 0)
        return "this CPU's VT-x does not record IA32_EFER.LMA on exits";
    c->ept_vpid = ept;
    if ((c->pin & PIN_PREEMPTION_TIMER) && (c->exit & EXIT_SAVE_TIMER)) {
        c->timer = (tsc_hz() / 1000000 * TIMER_US) >> (rdmsr(MSR_VMX_MISC) & 31);
    } else {
        c->pin &= ~PIN_PREEMPTION_TIMER;
        c->exit &= ~EXIT_SAVE_TIMER;
    }
    return NULL;
}

const char *vmx_probe(void)
{
    if (((cpuid(1, 0).ecx >> 5) & 1) == 0) return "this CPU has no VT-x";
    uint64_t feature = rdmsr(MSR_FEATURE_CONTROL);
    if ((feature & FEATURE_LOCKED) && !(feature & FEATURE_VMX))
        return "VT-x is locked off by firmware (IA32_FEATURE_CONTROL): enable it in the firmware's set-up";
    return find_caps(&vmx_caps);
}

static bool vmxon(hpa_t region)
{
    bool failed;
    __asm__ volatile("vmxon %1" : "=@ccbe"(failed) : "m"(region) : "memory");
    return !failed;
}

const char *vmx_cpu_start(void)
{
    uint64_t feature = rdmsr(MSR_FEATURE_CONTROL);

    /* Left open by some firmware: ours to set and lock (SDM 3C 24.7). */
    if (!(feature & FEATURE_LOCKED)) wrmsr(MSR_FEATURE_CONTROL, feature | FEATURE_VMX | FEATURE_LOCKED);
    if (!(rdmsr(MSR_FEATURE_CONTROL) & FEATURE_VMX))
        return "VT-x is locked off by firmware on this CPU: enable it in the firmware's set-up";
    struct vmx_caps mine = {0};
    const char *why = find_caps(&mine);
    if (why != NULL) return why;
    if (memcmp(&mine, &vmx_caps, sizeof(mine)) != 0)
        return "this CPU's VT-x is not like the boot CPU's: give all CPUs the same firmware settings and "
               "microcode";

    mfn_t region = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    if (region == MFN_NONE) return "no memory for the VMXON region";
    *(uint32_t *)mfn_to_virt(region) = vmx_caps.revision;
    vmxon_region[this_cpu()->index] = region << PAGE_SHIFT;

    /* Firmware and GRUB may leave CD and NW set; VM entries keep them (SDM 3C 27.3.2.1), so the guest would
     * run uncached. */
    write_cr0((read_cr0() | vmx_caps.cr0_must) & ~(CR0_CD | CR0_NW));
    write_cr4(read_cr4() | vmx_caps.cr4_must);
    if (!vmxon(region << PAGE_SHIFT)) {
        frame_free(region);
        return "VMXON failed: something else on this CPU uses VT-x already";
    }
    return NULL;
}

void vmx_cpu_stop(void)
{
    vmx_park();
    __asm__ volatile("vmxoff" : : : "cc", "memory");
    write_cr4(read_cr4() & ~CR4_VMXE);
    frame_free(vmxon_region[this_cpu()->index] >> PAGE_SHIFT);
}

static bool accessed_bits(void)
{
    return ept_accessed(vmx_caps.ept_vpid);
}

const struct vendor vmx_vendor = {
    .name = "vtx",
    .second_level = &pt_format_ept,
    .probe = vmx_probe,
    .cpu_start = vmx_cpu_start,
    .cpu_stop = vmx_cpu_stop,
    .accessed_bits = accessed_bits,
    .vcpu_create = vmx_vcpu_create,
    .vcpu_destroy = vmx_vcpu_destroy,
    .vcpu_reset_flat = vmx_reset_flat,
    .vcpu_reset_sipi = vmx_reset_sipi,
    .run = vmx_run,
    .park = vmx_park,
    .can_inject = vmx_can_inject,
    .inject_interrupt = vmx_inject_interrupt,
    .inject_exception = vmx_inject_exception,
    .inject_nmi = vmx_inject_nmi,
    .nmi_waiting = vmx_nmi_waiting,
    .get_sys = vmx_get_sys,
    .set_sys = vmx_set_sys,
    .get_seg = vmx_get_seg,
    .set_seg = vmx_set_seg,
    .set_tsc_offset = vmx_set_tsc_offset,
    .audit = vmx_audit,
    .dump = vmx_dump,
};
