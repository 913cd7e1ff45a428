/* SPDX-License-Identifier: MIT */
#include "x86/alike.h"
#include "lib/string.h"
#include "x86/cpu.h"
#include "x86/msr.h"

/* ---- features ---- */

#define ALL         UINT32_MAX
#define OSXSAVE     (1u << 27) /* follows CR4, as does OSPKE */
#define OSPKE       (1u << 4)
#define DIFFERS(of) "its CPUID leaf " of " differs from the boot CPU's"

static const struct {
    uint32_t leaf;
    struct cpuid mask;
    const char *differs;
} leaves[] = {
    {0, {ALL, ALL, ALL, ALL}, "it is of another make than the boot CPU"},
    {1, {0, 0, ALL & ~OSXSAVE, ALL}, DIFFERS("1")},
    {7, {0, ALL, ALL & ~OSPKE, ALL}, DIFFERS("7")},
    {0xd, {ALL, 0, ALL, ALL}, DIFFERS("0xd (XCR0)")},
    {0x80000001, {0, 0, ALL, ALL}, DIFFERS("0x80000001")},
    {0x80000008, {ALL, ALL, 0, 0}, DIFFERS("0x80000008 (addresses)")},
    {0x8000000a, {0, ALL, 0, ALL}, DIFFERS("0x8000000a (AMD-V)")},
};
static struct cpuid of_boot_cpu[ARRAY_LEN(leaves)];

static struct cpuid features(size_t i)
{
    const struct cpuid *mask = &leaves[i].mask;
    struct cpuid c = {0};

    if (cpuid(leaves[i].leaf & 1u << 31, 0).eax < leaves[i].leaf) return c;
    c = cpuid(leaves[i].leaf, 0);
    return (struct cpuid){c.eax & mask->eax, c.ebx & mask->ebx, c.ecx & mask->ecx, c.edx & mask->edx};
}

/* ---- memory type range registers (SDM 3A 12.11) ---- */

#define MSR_MTRR_CAP      0xfeu
#define MSR_MTRR_PAIRS    0x200u
#define MSR_MTRR_DEF_TYPE 0x2ffu

#define MTRRS          (1u << 12) /* CPUID.1:EDX */
#define MTRR_CAP_FIXED (1u << 8)
#define MTRR_ENABLE    (1ull << 11)
#define MTRR_FIXED     11u
#define MTRR_PAIRS_MAX 32u

static uint64_t mtrr[MTRR_FIXED + 2 * MTRR_PAIRS_MAX], mtrr_def_type;
static uint32_t mtrr_first, mtrr_end; /* of those that there are, in that array */

static uint32_t mtrr_msr(uint32_t i)
{
    static const uint32_t fixed[MTRR_FIXED] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                               0x26b, 0x26c, 0x26d, 0x26e, 0x26f};

    return i < MTRR_FIXED ? fixed[i] : MSR_MTRR_PAIRS + i - MTRR_FIXED;
}

static bool mtrrs_equal(void)
{
    for (uint32_t i = mtrr_first; i < mtrr_end; i++)
        if (rdmsr(mtrr_msr(i)) != mtrr[i]) return false;
    return mtrr_end == 0 || rdmsr(MSR_MTRR_DEF_TYPE) == mtrr_def_type;
}

/* No caching and no translation from before may outlive the change (SDM 3A 12.11.8). */
static void forget_memory(void)
{
    const uint64_t cr4 = read_cr4();

    __asm__ volatile("wbinvd" : : : "memory");
    write_cr4(cr4 & ~CR4_PGE);
    write_cr4(cr4);
}

static void mtrrs_set(void)
{
    const uint64_t cr0 = read_cr0();

    write_cr0((cr0 | CR0_CD) & ~CR0_NW);
    forget_memory();
    wrmsr(MSR_MTRR_DEF_TYPE, mtrr_def_type & ~MTRR_ENABLE);
    for (uint32_t i = mtrr_first; i < mtrr_end; i++) wrmsr(mtrr_msr(i), mtrr[i]);
    wrmsr(MSR_MTRR_DEF_TYPE, mtrr_def_type);
    forget_memory();
    write_cr0(cr0);
}

void alike_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++) of_boot_cpu[i] = features(i);
    if (!(cpuid(1, 0).edx & MTRRS)) return;
    const uint64_t cap = rdmsr(MSR_MTRR_CAP);
    const uint32_t pairs = (uint32_t)cap & 0xff;
    mtrr_first = cap & MTRR_CAP_FIXED ? 0 : MTRR_FIXED;
    mtrr_end = MTRR_FIXED + 2 * (pairs < MTRR_PAIRS_MAX ? pairs : MTRR_PAIRS_MAX);
    for (uint32_t i = mtrr_first; i < mtrr_end; i++) mtrr[i] = rdmsr(mtrr_msr(i));
    mtrr_def_type = rdmsr(MSR_MTRR_DEF_TYPE);
}

const char *alike_cpu_init(void)
{
    for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
        const struct cpuid c = features(i);
        if (memcmp(&c, &of_boot_cpu[i], sizeof c) != 0) return leaves[i].differs;
    }
    if (!mtrrs_equal()) mtrrs_set();
    return NULL;
}
