/* SPDX-License-Identifier: MIT
 *
 * The KVM paravirtual clock (Linux Documentation/virt/kvm/x86/msr.rst): the TSC's frequency and phase in
 * a page of the guest, so that Linux neither calibrates nor exits to tell the time.
 */
#ifndef TITHE_VM_KVMCLOCK_H
#define TITHE_VM_KVMCLOCK_H

#include "tithe/types.h"

struct vcpu;

#define MSR_KVM_WALL_CLOCK_NEW  0x4b564d00u
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u

/* The structure shared with the guest (pvclock-abi.h). */
struct pvclock_time {
    uint32_t version; /* odd while it is being changed */
    uint32_t unused;
    uint64_t tsc_timestamp;
    uint64_t system_time_ns;
    uint32_t tsc_to_system_mul; /* ns = ((tsc - tsc_timestamp) << shift) * mul >> 32 */
    int8_t tsc_shift;
    uint8_t flags;
    uint8_t padding[2];
};

/* Multiplier and shift for a TSC frequency in Hz (> 0). */
void pvclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift);

/* Where in the guest's memory a WRMSR makes the core write the clock, or the wall time, which is shorter. */
#define KVMCLOCK_NOWHERE UINT64_MAX
gpa_t kvmclock_written(const struct vcpu *v, uint32_t msr, uint64_t value);
/* WRMSR of MSR_KVM_SYSTEM_TIME_NEW. False: not a writable guest address. */
MUST_CHECK bool kvmclock_enable(struct vcpu *v, uint64_t value);
/* Writes the structure anew: after the guest's TSC was changed. */
void kvmclock_update(struct vcpu *v);
/* WRMSR of MSR_KVM_WALL_CLOCK_NEW: writes the wall time at the guest's system time 0. */
MUST_CHECK bool kvmclock_write_wall(struct vcpu *v, gpa_t gpa);

#endif
