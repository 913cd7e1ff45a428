/* SPDX-License-Identifier: MIT
 *
 * CPUID as guests see it: the host's features less what is not virtualised, plus the hypervisor leaves. The answers are
 * worked out once per VM; an exit only looks one up.
 */
#ifndef TITHE_VM_GUEST_CPUID_H
#define TITHE_VM_GUEST_CPUID_H

#include "tithe/types.h"

struct vcpu;

#define CPUID_BASIC_LEAVES    0x17u
#define CPUID_EXTENDED_LEAVES 9u
#define CPUID_CACHE_SUBLEAVES 4u
#define CPUID_XSAVE_SUBLEAVES 10u

struct guest_cpuid {
    uint32_t basic_max, extended_max;
    uint32_t vcpus;
    uint32_t core_shift; /* bits of the APIC id that number the vCPUs */
    bool amd;
    uint32_t basic[CPUID_BASIC_LEAVES][4];
    uint32_t extended[CPUID_EXTENDED_LEAVES][4];
    uint32_t cache[CPUID_CACHE_SUBLEAVES][4]; /* leaf 4 */
    uint32_t xsave[CPUID_XSAVE_SUBLEAVES][4]; /* leaf 0xD */
    uint32_t timing[2];                       /* TSC kHz, APIC timer kHz */
};

/* What the host has; a structure, so that tests can make one up. */
struct cpuid_host {
    void (*cpuid)(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
    uint64_t xcr0; /* that a guest may have; 0: no XSAVE */
    uint64_t tsc_hz;
};

void guest_cpuid_init(struct guest_cpuid *table, const struct cpuid_host *host, uint32_t vcpus);
/* Leaves whose answer depends on the vCPU, its state or the subleaf. */
#define CPUID_SPECIAL_LEAVES (1u << 1 | 1u << 4 | 1u << 7 | 1u << 0xB | 1u << 0xD)

/* The row of a basic leaf that is the same for everybody, NULL for any other leaf: the quick way, for the exit. */
static inline const uint32_t *guest_cpuid_plain(const struct guest_cpuid *t, uint32_t leaf)
{
    return leaf <= t->basic_max && (CPUID_SPECIAL_LEAVES >> leaf & 1) == 0 ? t->basic[leaf] : NULL;
}

/* The answer for one vCPU: a row of its VM's table (v->vm->cpuid), or made in `scratch`. Order: EAX, EBX, ECX, EDX. */
const uint32_t *guest_cpuid(struct vcpu *v, uint32_t leaf, uint32_t subleaf, uint32_t scratch[4]);

/* Best fraction for hz / crystal_hz whose numerator is at most numerator_max (leaf 0x15). */
void cpuid_tsc_ratio(uint64_t hz, uint64_t crystal_hz, uint32_t numerator_max, uint32_t *numerator,
                     uint32_t *denominator);

#endif
