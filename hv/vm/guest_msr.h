/* SPDX-License-Identifier: MIT
 *
 * MSRs as guests see them.
 */
#ifndef TITHE_VM_GUEST_MSR_H
#define TITHE_VM_GUEST_MSR_H

#include "tithe/types.h"

struct vcpu;

#define GUEST_MTRR_RANGES 8u

#define MSR_TSC        0x10u
#define MSR_TSC_ADJUST 0x3Bu

/* What a guest wrote and will read back, per vCPU; everything else is constant or lives with its device. */
struct guest_msrs {
    uint64_t tsc_adjust;
    uint64_t mtrr_default;
    uint64_t mtrr[2 * GUEST_MTRR_RANGES]; /* base and mask of each */
    uint64_t kvmclock;                    /* address and enable bit as written */
    uint32_t kvmclock_version;            /* of what is there; even */
};

/* After power-on. */
void guest_msr_reset(struct vcpu *v);
/* After INIT: the TSC and what describes memory stay (SDM 3A table 9-1); the kvmclock page is forgotten. */
void guest_msr_init(struct vcpu *v);
/* False: #GP. By the vCPU itself; takes the device lock where an access reaches the LAPIC. */
MUST_CHECK bool guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value);
MUST_CHECK bool guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value);

#endif
