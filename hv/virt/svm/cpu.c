/* SPDX-License-Identifier: MIT
 *
 * AMD-V of one CPU: is it there, what can it do, on and off (APM 2 15.4, 15.30).
 */
#include "virt/svm/svm.h"

#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"

#define MSR_VM_CR       0xC0010114u
#define MSR_VM_HSAVE_PA 0xC0010117u
#define VM_CR_SVMDIS    (1u << 4)

#define CPUID_SVM        0x8000000Au
#define SVM_NESTED_PAGES (1u << 0)
#define SVM_NRIP         (1u << 3)
#define SVM_FLUSH_ASID   (1u << 6)

struct svm_caps svm_caps;
static struct svm_cpu cpus[CPUS_MAX];

struct svm_cpu *svm_this_cpu(void)
{
    return &cpus[this_cpu()->index];
}

static bool disabled(void)
{
    uint64_t vm_cr;
    return rdmsr_safe(MSR_VM_CR, &vm_cr) && (vm_cr & VM_CR_SVMDIS);
}

static const char *find_caps(struct svm_caps *c)
{
    struct cpuid svm = cpuid(CPUID_SVM, 0);

    if (disabled())
        return "AMD-V is switched off by firmware (VM_CR.SVMDIS): enable SVM in the firmware's set-up";
    if (!(svm.edx & SVM_NESTED_PAGES)) return "this CPU's AMD-V lacks nested paging: a newer one is needed";
    c->asids = svm.ebx;
    c->nrip = (svm.edx & SVM_NRIP) != 0;
    c->flush_by_asid = (svm.edx & SVM_FLUSH_ASID) != 0;
    return c->asids < 2 ? "this CPU's AMD-V has no address space identifiers" : NULL;
}

const char *svm_probe(void)
{
    return find_caps(&svm_caps);
}

const char *svm_cpu_start(void)
{
    struct svm_cpu *cpu = svm_this_cpu();
    struct svm_caps mine;
    const char *why = find_caps(&mine);

    if (why != NULL) return why;
    if (mine.asids < svm_caps.asids || mine.nrip < svm_caps.nrip ||
        mine.flush_by_asid < svm_caps.flush_by_asid)
        return "this CPU's AMD-V can do less than the boot CPU's: give all CPUs the same firmware settings "
               "and microcode";
    mfn_t first = svm_maps_create() ? frame_alloc_run(2, 1) : MFN_NONE;
    if (first == MFN_NONE) return "no memory for AMD-V's host state and permission maps";
    cpu->host_save = first << PAGE_SHIFT;
    cpu->host_vmcb = (first + 1) << PAGE_SHIFT;
    cpu->next_asid = 1;
    cpu->asid_generation = 1;
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
    wrmsr(MSR_VM_HSAVE_PA, cpu->host_save);
    return NULL;
}

void svm_cpu_stop(void)
{
    struct svm_cpu *cpu = svm_this_cpu();
    svm_park();
    wrmsr(MSR_VM_HSAVE_PA, 0);
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~EFER_SVME);
    frame_free_run(cpu->host_save >> PAGE_SHIFT, 2);
}

/* Nested tables have the host's format, accessed bits and all (APM 2 15.25.7). */
static bool accessed_bits(void)
{
    return true;
}

const struct vendor svm_vendor = {
    .name = "amd",
    .second_level = &pt_format_npt,
    .probe = svm_probe,
    .cpu_start = svm_cpu_start,
    .cpu_stop = svm_cpu_stop,
    .accessed_bits = accessed_bits,
    .vcpu_create = svm_vcpu_create,
    .vcpu_destroy = svm_vcpu_destroy,
    .vcpu_reset_flat = svm_reset_flat,
    .vcpu_reset_sipi = svm_reset_sipi,
    .run = svm_run,
    .park = svm_park,
    .can_inject = svm_can_inject,
    .inject_interrupt = svm_inject_interrupt,
    .inject_exception = svm_inject_exception,
    .inject_nmi = svm_inject_nmi,
    .nmi_waiting = svm_nmi_waiting,
    .get_sys = svm_get_sys,
    .set_sys = svm_set_sys,
    .get_seg = svm_get_seg,
    .set_seg = svm_set_seg,
    .set_tsc_offset = svm_set_tsc_offset,
    .audit = svm_audit,
    .dump = svm_dump,
};
