/* SPDX-License-Identifier: MIT
 *
 * The guest's TSC starts at 0 when the guest does and never stops, so the guest's system time is simply its TSC in
 * nanoseconds: the structure is written once and stays true on every vCPU.
 */
#include "vm/kvmclock.h"

#include "vm/guest_msr.h"
#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/time.h"

#define ENABLE      1ull
#define FLAG_STABLE 1u /* the same on all vCPUs */
#define SECOND_NS   1000000000ull

void pvclock_scale(uint64_t tsc_hz, uint32_t *mul, int8_t *shift)
{
    uint64_t ns = SECOND_NS, ticks = tsc_hz;
    *shift = 0;
    while (ns >= ticks) {
        ticks <<= 1;
        ++*shift;
    }
    while (2 * ns < ticks) {
        ns <<= 1;
        --*shift;
    }
    *mul = (uint32_t)((ns << 32) / ticks);
}

/* The guest's TSC as if it had never written it. */
static uint64_t unwritten_tsc(const struct vcpu *v)
{
    return rdtsc() + v->tsc_offset - v->msrs.tsc_adjust;
}

/* Linux reads the page of one vCPU on all of them, so it is odd while it changes. */
static bool write_time(struct vcpu *v, gpa_t gpa)
{
    struct pvclock_time t = {.tsc_timestamp = v->msrs.tsc_adjust, .flags = FLAG_STABLE};
    pvclock_scale(tsc_hz(), &t.tsc_to_system_mul, &t.tsc_shift);
    t.version = v->msrs.kvmclock_version + 1;
    if (!vm_write(v->vm, gpa, &t.version, sizeof t.version) || !vm_write(v->vm, gpa, &t, sizeof t))
        return false;
    t.version = v->msrs.kvmclock_version += 2;
    return vm_write(v->vm, gpa, &t.version, sizeof t.version);
}

gpa_t kvmclock_written(const struct vcpu *v, uint32_t msr, uint64_t value)
{
    switch (msr) {
    case MSR_KVM_WALL_CLOCK_NEW: return value;
    case MSR_TSC:
    case MSR_TSC_ADJUST: value = v->msrs.kvmclock; break;
    case MSR_KVM_SYSTEM_TIME_NEW: break;
    default: return KVMCLOCK_NOWHERE;
    }
    return (value & ENABLE) != 0 ? value & ~ENABLE : KVMCLOCK_NOWHERE;
}

bool kvmclock_enable(struct vcpu *v, uint64_t value)
{
    if ((value & ENABLE) != 0 && !write_time(v, value & ~ENABLE)) return false;
    v->msrs.kvmclock = value;
    return true;
}

void kvmclock_update(struct vcpu *v)
{
    if ((v->msrs.kvmclock & ENABLE) == 0) return;
    /* The page was writable when it was given; if it has become a hole, the guest loses its clock. */
    if (!write_time(v, v->msrs.kvmclock & ~ENABLE)) v->msrs.kvmclock = 0;
}

bool kvmclock_write_wall(struct vcpu *v, gpa_t gpa)
{
    struct platform *p = &v->vm->platform;
    const uint64_t start_ns = p->ops->wall_ns(p->ctx) - tsc_to_ns(unwritten_tsc(v));
    const struct {
        uint32_t version, seconds, nanoseconds;
    } wall = {2, (uint32_t)(start_ns / SECOND_NS), (uint32_t)(start_ns % SECOND_NS)};
    return vm_write(v->vm, gpa, &wall, sizeof wall);
}
