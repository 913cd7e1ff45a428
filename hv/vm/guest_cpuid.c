/* SPDX-License-Identifier: MIT */
#include "vm/guest_cpuid.h"

#include "dev/lapic.h"
#include "lib/string.h"
#include "virt/vendor.h"
#include "vm/vm.h"
#include "x86/fpu.h"
#include "x86/msr.h"

enum { EAX, EBX, ECX, EDX };
#define BIT(n) (1u << (n))

/* Leaf 1. Not there: MONITOR, VMX, PCID, PDCM, and whatever needs MSRs that guests do not get. */
#define L1_ECX_SSE                                                                                           \
    (BIT(0) | BIT(1) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(30))
#define L1_ECX_FMA     BIT(12)
#define L1_ECX_XSAVE   BIT(26)
#define L1_ECX_AVX     (BIT(28) | BIT(29) | L1_ECX_FMA)
#define L1_ECX_GIVEN   (BIT(21) | BIT(24) | BIT(31)) /* x2APIC, TSC deadline, hypervisor: we make them */
#define L1_ECX_OSXSAVE BIT(27)
/* Not there: machine check, PSN, debug store, thermal, PBE. */
#define L1_EDX                                                                                               \
    (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(11) | BIT(13) | BIT(15) |   \
     BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(27))
#define L1_EDX_GIVEN (BIT(9) | BIT(12)) /* APIC, MTRR */
#define L1_EDX_HTT   BIT(28)

/* Leaf 7. Not there: INVPCID, RTM, MPX, PQM, protection keys, shadow stacks, five-level paging, RDPID, all
 * speculation controls with MSRs. */
#define L7_EBX                                                                                               \
    (BIT(0) | BIT(3) | BIT(7) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(20) | BIT(23) | BIT(24) | BIT(29))
#define L7_EBX_TSC_ADJUST BIT(1)
#define L7_EBX_AVX        BIT(5)
#define L7_EBX_AVX512     (BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))
#define L7_ECX            (BIT(2) | BIT(8))
#define L7_ECX_AVX        (BIT(9) | BIT(10))
#define L7_ECX_AVX512     (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))
#define L7_EDX            (BIT(4) | BIT(10)) /* fast short REP MOV; VERW clears buffers */
#define L7_EDX_AVX512     (BIT(2) | BIT(3) | BIT(8))

/* Leaf 0xD, subleaf 1: XSAVEOPT and XGETBV of 1. Without XSAVEC and XSAVES only the standard format exists. */
#define LD_EAX           (BIT(0) | BIT(2))
#define XSAVE_HEADER_END 576u

#define L6_ARAT BIT(2) /* the APIC timer always runs */

/* 0x80000001. Not there: SVM, OSVW, IBS, SKINIT, topology extensions, performance counters, FFXSR. */
#define X1_ECX               (BIT(0) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(21))
#define X1_ECX_AVX           (BIT(11) | BIT(16))
#define X1_ECX_CMP_LEGACY    BIT(1)
#define X1_EDX               (BIT(11) | BIT(20) | BIT(22) | BIT(26) | BIT(27) | BIT(29))
#define X1_EDX_FEATURES_AMD  0x0183F3FFu /* AMD repeats these of leaf 1 */
#define X7_EDX_INVARIANT_TSC BIT(8)
#define X8_EBX               (BIT(0) | BIT(2)) /* CLZERO, XSAVE always saves error pointers */

#define KVM_BASE         0x40000000u
#define KVM_FEATURES     0x40000001u
#define KVM_TIMING       0x40000010u
/* No I/O delay needed, kvmclock on its new MSRs, its time is the same on all vCPUs. */
#define KVM_FEATURE_BITS (BIT(1) | BIT(3) | BIT(24))

#define EXTENDED_BASE 0x80000000u
#define CRYSTAL_HZ    LAPIC_TIMER_HZ
/* Leaf 0x15's numerator times the crystal's kHz must fit 32 bits: Linux multiplies them so. */
#define RATIO_MAX     (UINT32_MAX / (uint32_t)(CRYSTAL_HZ / 1000))

void cpuid_tsc_ratio(uint64_t hz, uint64_t crystal_hz, uint32_t numerator_max, uint32_t *numerator,
                     uint32_t *denominator)
{
    /* Convergents of the continued fraction of hz / crystal_hz, as far as they fit; then as much of the next one's
     * last digit as fits, if that is more than half of it: such a fraction is nearer than the last convergent. */
    uint64_t a = hz, b = crystal_hz;
    uint64_t p0 = 0, p1 = 1, q0 = 1, q1 = 0;
    while (b != 0) {
        const uint64_t whole = a / b, rest = a % b;
        const uint64_t room = p1 != 0 ? (numerator_max - p0) / p1 : UINT64_MAX;
        const bool fits = whole <= room;
        const uint64_t digit = fits ? whole : room;
        const uint64_t p = digit * p1 + p0, q = digit * q1 + q0;
        if (2 * digit <= whole && !fits) break;
        p0 = p1;
        p1 = p;
        q0 = q1;
        q1 = q;
        if (!fits) break;
        a = b;
        b = rest;
    }
    *numerator = (uint32_t)p1;
    *denominator = (uint32_t)q1;
}

static void features(struct guest_cpuid *t, uint64_t xcr0)
{
    const bool avx = (xcr0 & XCR0_AVX) != 0, avx512 = (xcr0 & XCR0_AVX512) == XCR0_AVX512;
    uint32_t *l1 = t->basic[1];
    l1[EBX] = (l1[EBX] & 0xFFFF) | 1u << t->core_shift << 16;
    l1[ECX] &= L1_ECX_SSE | (xcr0 != 0 ? L1_ECX_XSAVE : 0) | (avx ? L1_ECX_AVX : 0);
    l1[ECX] |= L1_ECX_GIVEN;
    l1[EDX] = (l1[EDX] & L1_EDX) | L1_EDX_GIVEN | (t->vcpus > 1 ? L1_EDX_HTT : 0);

    uint32_t *l7 = t->basic[7];
    l7[EAX] = 0; /* no further subleaves */
    l7[EBX] &= L7_EBX | (avx ? L7_EBX_AVX : 0) | (avx512 ? L7_EBX_AVX512 : 0);
    l7[EBX] |= L7_EBX_TSC_ADJUST;
    l7[ECX] &= L7_ECX | (avx ? L7_ECX_AVX : 0) | (avx512 ? L7_ECX_AVX512 : 0);
    l7[EDX] &= L7_EDX | (avx512 ? L7_EDX_AVX512 : 0);

    uint32_t *x1 = t->extended[1];
    x1[EBX] &= t->amd ? 0xF0000000 : 0; /* package type */
    x1[ECX] &= X1_ECX | (avx ? X1_ECX_AVX : 0);
    x1[ECX] |= t->amd && t->vcpus > 1 ? X1_ECX_CMP_LEGACY : 0;
    x1[EDX] = (x1[EDX] & X1_EDX) | (t->amd ? l1[EDX] & X1_EDX_FEATURES_AMD : 0);
}

static void caches(struct guest_cpuid *t, const struct cpuid_host *host)
{
    for (uint32_t i = 0; i < CPUID_CACHE_SUBLEAVES; i++) {
        uint32_t *c = t->cache[i];
        host->cpuid(4, i, c);
        if ((c[EAX] & 0x1F) == 0) {
            memset(c, 0, sizeof t->cache[i]);
            continue;
        }
        const bool last_level = (c[EAX] >> 5 & 7) >= 3;
        const uint32_t ids_less_1 = (1u << t->core_shift) - 1;
        c[EAX] = (c[EAX] & 0x3FFF) | (last_level ? ids_less_1 : 0) << 14 | ids_less_1 << 26;
    }
}

static uint32_t xsave_bytes(const struct guest_cpuid *t, uint64_t xcr0)
{
    uint32_t end = XSAVE_HEADER_END;
    for (uint32_t i = 2; i < CPUID_XSAVE_SUBLEAVES; i++) {
        if ((xcr0 >> i & 1) != 0 && t->xsave[i][EAX] + t->xsave[i][EBX] > end) {
            end = t->xsave[i][EAX] + t->xsave[i][EBX];
        }
    }
    return end;
}

static void xsave(struct guest_cpuid *t, const struct cpuid_host *host)
{
    if (host->xcr0 == 0) return;
    for (uint32_t i = 1; i < CPUID_XSAVE_SUBLEAVES; i++) {
        uint32_t *x = t->xsave[i];
        if (i != 1 && (host->xcr0 >> i & 1) == 0) continue;
        host->cpuid(0xD, i, x);
        x[EAX] &= i == 1 ? LD_EAX : UINT32_MAX;
        x[EBX] = i == 1 ? 0 : x[EBX];
        x[ECX] = x[EDX] = 0;
    }
    t->xsave[0][EAX] = (uint32_t)host->xcr0;
    t->xsave[0][ECX] = xsave_bytes(t, host->xcr0); /* EBX depends on the guest's XCR0 */
    t->xsave[0][EDX] = (uint32_t)(host->xcr0 >> 32);
}

static void timing(struct guest_cpuid *t, uint64_t tsc_hz)
{
    t->timing[0] = (uint32_t)(tsc_hz / 1000);
    t->timing[1] = (uint32_t)(LAPIC_TIMER_HZ / 1000);
    uint32_t *l15 = t->basic[0x15], *l16 = t->basic[0x16];
    cpuid_tsc_ratio(tsc_hz, CRYSTAL_HZ, RATIO_MAX, &l15[EBX], &l15[EAX]);
    l15[ECX] = (uint32_t)CRYSTAL_HZ;
    l15[EDX] = 0;
    l16[EAX] = l16[EBX] = (uint32_t)((tsc_hz + 500000) / 1000000);
    l16[ECX] = 100;
    l16[EDX] = 0;
}

void guest_cpuid_init(struct guest_cpuid *t, const struct cpuid_host *host, uint32_t vcpus)
{
    /* Leaves that are shown as the host has them, before the masks: identification, caches, XSAVE's; the
     * rest reads as zero. */
    const uint32_t shown = BIT(0) | BIT(1) | BIT(2) | BIT(7);
    uint32_t top[4];
    memset(t, 0, sizeof *t);
    t->vcpus = vcpus;
    while (1u << t->core_shift < vcpus) t->core_shift++;

    host->cpuid(0, 0, top);
    t->amd = top[EBX] == 0x68747541u; /* "Auth"enticAMD */
    t->basic_max = top[EAX] < CPUID_BASIC_LEAVES ? top[EAX] : CPUID_BASIC_LEAVES - 1;
    for (uint32_t leaf = 0; leaf <= t->basic_max && leaf < 8; leaf++) {
        if ((shown >> leaf & 1) != 0) host->cpuid(leaf, 0, t->basic[leaf]);
    }
    t->basic[0][EAX] = t->basic_max;
    t->basic[6][EAX] = L6_ARAT;

    host->cpuid(EXTENDED_BASE, 0, top);
    t->extended_max = top[EAX] - EXTENDED_BASE < CPUID_EXTENDED_LEAVES ? top[EAX] - EXTENDED_BASE
                                                                       : CPUID_EXTENDED_LEAVES - 1;
    for (uint32_t leaf = 0; leaf <= t->extended_max; leaf++)
        host->cpuid(EXTENDED_BASE + leaf, 0, t->extended[leaf]);
    t->extended[0][EAX] = EXTENDED_BASE + t->extended_max;

    features(t, host->xcr0);
    uint32_t *x7 = t->extended[7], *x8 = t->extended[8];
    memset(x7, 0, sizeof t->extended[7]);
    x7[EDX] = X7_EDX_INVARIANT_TSC;
    x8[EAX] &= 0xFFFF; /* address widths */
    x8[EBX] &= X8_EBX;
    x8[ECX] = t->amd ? t->core_shift << 12 | (vcpus - 1) : 0;
    x8[EDX] = 0;
    if (!t->amd) caches(t, host);
    xsave(t, host);
    timing(t, host->tsc_hz);
}

/* ---- the exit ---- */

static void topology(const struct guest_cpuid *t, uint32_t id, uint32_t subleaf, uint32_t out[4])
{
    /* Level 0: threads of a core, one; level 1: cores of the package (SDM 2A, CPUID leaf 0BH). */
    out[EAX] = subleaf == 1 ? t->core_shift : 0;
    out[EBX] = subleaf == 0 ? 1 : subleaf == 1 ? t->vcpus : 0;
    out[ECX] = (subleaf & 0xFF) | (subleaf == 0 ? 1u << 8 : subleaf == 1 ? 2u << 8 : 0);
    out[EDX] = id;
}

static const uint32_t zero_row[4];

static const uint32_t *hypervisor(const struct guest_cpuid *t, uint32_t leaf, uint32_t out[4])
{
    out[EAX] = out[EBX] = out[ECX] = out[EDX] = 0;
    switch (leaf) {
    case KVM_BASE:
        out[EAX] = KVM_TIMING;
        out[EBX] = 0x4B4D564B; /* "KVMKVMKVM" */
        out[ECX] = 0x564B4D56;
        out[EDX] = 0x4D;
        break;
    case KVM_FEATURES: out[EAX] = KVM_FEATURE_BITS; break;
    case KVM_TIMING:
        out[EAX] = t->timing[0];
        out[EBX] = t->timing[1];
        break;
    default: break;
    }
    return out;
}

/* The leaves whose answer depends on the vCPU, its state or the subleaf. */
static const uint32_t *special(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct guest_cpuid *t = &v->vm->cpuid;
    switch (leaf) {
    case 1:
        memcpy(out, t->basic[1], sizeof t->basic[1]);
        out[EBX] |= v->index << 24;
        if ((out[ECX] & L1_ECX_XSAVE) != 0 && (vendor->get_sys(v, SYS_CR4) & CR4_OSXSAVE) != 0) {
            out[ECX] |= L1_ECX_OSXSAVE;
        }
        return out;
    case 4: return subleaf < CPUID_CACHE_SUBLEAVES ? t->cache[subleaf] : zero_row;
    case 7: return subleaf == 0 ? t->basic[7] : zero_row;
    case 0xB: topology(t, v->index, subleaf, out); return out;
    default: /* 0xD */
        memcpy(out, subleaf < CPUID_XSAVE_SUBLEAVES ? t->xsave[subleaf] : zero_row, sizeof zero_row);
        if (subleaf == 0 && out[EAX] != 0) out[EBX] = xsave_bytes(t, fpu_owner_xcr0());
        return out;
    }
}

const uint32_t *guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t scratch[4])
{
    const struct guest_cpuid *t = &v->vm->cpuid;
    const uint32_t *plain = guest_cpuid_plain(t, leaf);
    if (plain != NULL) return plain;
    if (leaf <= t->basic_max) return special(v, leaf, subleaf, scratch);
    if (leaf - EXTENDED_BASE <= t->extended_max) return t->extended[leaf - EXTENDED_BASE];
    return hypervisor(t, leaf, scratch);
}
