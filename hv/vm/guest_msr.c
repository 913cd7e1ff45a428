/* SPDX-License-Identifier: MIT
 *
 * What is not named here raises #GP, as on a real CPU. System-call, segment-base and PAT registers do not get here:
 * guests access them without an exit.
 */
#include "vm/guest_msr.h"

#include "lib/string.h"
#include "virt/vendor.h"
#include "vm/kvmclock.h"
#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/time.h"

#define MSR_PLATFORM_ID   0x17u
#define MSR_UCODE_REV     0x8Bu
#define MSR_PLATFORM_INFO 0xCEu
#define MSR_MTRR_CAP      0xFEu
#define MSR_MCG_CAP       0x179u
#define MSR_MCG_STATUS    0x17Au
#define MSR_MISC_ENABLE   0x1A0u
#define MSR_MTRR_FIRST    0x200u
#define MSR_MTRR_LAST     (MSR_MTRR_FIRST + 2 * GUEST_MTRR_RANGES - 1)
#define MSR_MTRR_DEFAULT  0x2FFu
#define MSR_X2APIC_LAST   0x8FFu
#define MSR_AMD_SYSCFG    0xC0010010u
#define MSR_AMD_HWCR      0xC0010015u
#define MSR_AMD_NB_CFG    0xC001001Fu
#define MSR_AMD_DE_CFG    0xC0011029u

/* Write combining and GUEST_MTRR_RANGES ranges; no fixed ranges. */
#define MTRR_CAP          (1u << 10 | GUEST_MTRR_RANGES)
#define MTRR_DEFAULT_BITS 0xCFFull
#define MTRR_ENABLE       (1ull << 11)
#define MTRR_WRITE_BACK   6u
#define ADDRESS_LIMIT     (1ull << 52)

#define MISC_ENABLE             0x1801u /* fast strings; no BTS, no PEBS */
#define DEBUGCTL_BITS           3u
#define HWCR_TSC_FREQ_SEL       (1u << 24) /* the TSC runs at P0's frequency, always */
#define DE_CFG_LFENCE_SERIALIZE (1u << 1)
/* Revisions that nobody's list of bad microcode names. */
#define UCODE_REV_INTEL         (1ull << 32)
#define UCODE_REV_AMD           0x01000065u

/* A deadline so many seconds away (272 years) never comes; nearer ones convert without overflow. */
#define DEADLINE_NEVER_S (1ull << 33)

void guest_msr_reset(struct vcpu *v)
{
    memset(&v->msrs, 0, sizeof v->msrs);
    v->msrs.mtrr_default = MTRR_ENABLE | MTRR_WRITE_BACK; /* as firmware would leave them */
}

void guest_msr_init(struct vcpu *v)
{
    v->msrs.kvmclock = 0;
}

/* ---- local APIC: under the device lock, for other vCPUs send it messages and its timer may fire on another CPU ---- */

static bool is_apic(uint32_t msr)
{
    return (msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST) || msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE;
}

static bool read_apic(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    struct lock *lock = &v->vm->platform.lock;
    bool good = true;
    lock_acquire(lock);
    switch (msr) {
    case MSR_TSC_DEADLINE: *value = v->lapic.tsc_deadline; break;
    case MSR_APIC_BASE: *value = v->lapic.base_msr; break;
    default: good = lapic_read(&v->lapic, (msr - MSR_X2APIC) << 4, true, value, time_now_ns()); break;
    }
    lock_release(lock);
    return good;
}

static void write_deadline(struct vcpu *v, uint64_t value)
{
    const uint64_t guest_tsc = rdtsc() + v->tsc_offset;
    uint64_t deadline_ns = time_now_ns();
    if (value > guest_tsc) {
        const uint64_t ticks = value - guest_tsc;
        deadline_ns = ticks / tsc_hz() < DEADLINE_NEVER_S ? deadline_ns + tsc_to_ns(ticks) : NO_DEADLINE;
    }
    lapic_write_tsc_deadline(&v->lapic, value, deadline_ns);
}

static bool write_apic(struct vcpu *v, uint32_t msr, uint64_t value)
{
    struct lock *lock = &v->vm->platform.lock;
    bool good = true;
    lock_acquire(lock);
    switch (msr) {
    case MSR_TSC_DEADLINE: write_deadline(v, value); break;
    case MSR_APIC_BASE: good = lapic_write_base(&v->lapic, value); break;
    default: good = lapic_write(&v->lapic, (msr - MSR_X2APIC) << 4, true, value, time_now_ns()); break;
    }
    lock_release(lock);
    return good;
}

/* ---- time ---- */

/* Of this vCPU alone, and the adjustment says by how much it is out of step with the others (SDM 3B 17.17.3). */
static void move_tsc(struct vcpu *v, uint64_t by)
{
    struct lock *lock = &v->vm->platform.lock;
    v->msrs.tsc_adjust += by;
    v->tsc_offset += by;
    vendor->set_tsc_offset(v, v->tsc_offset);
    kvmclock_update(v);
    lock_acquire(lock);
    if (v->lapic.tsc_deadline != 0) write_deadline(v, v->lapic.tsc_deadline);
    lock_release(lock);
}

/* ---- EFER and memory types ---- */

static bool write_efer(struct vcpu *v, uint64_t value)
{
    const uint64_t old = vendor->get_sys(v, SYS_EFER);
    const bool nx = (v->vm->cpuid.extended[1][3] >> 20 & 1) != 0;
    const uint64_t known = EFER_SCE | EFER_LME | EFER_LMA | (nx ? EFER_NXE : 0);
    if ((value & ~known) != 0) return false;
    /* Long mode is switched with paging off (SDM 3A 9.8.5). */
    if (((value ^ old) & EFER_LME) != 0 && (vendor->get_sys(v, SYS_CR0) & CR0_PG) != 0) return false;
    vendor->set_sys(v, SYS_EFER, (value & ~EFER_LMA) | (old & EFER_LMA));
    return true;
}

static bool memory_type_valid(uint64_t value)
{
    const uint8_t type = (uint8_t)value;
    return type < 8 && (0x73u >> type & 1) != 0; /* UC, WC, WT, WP, WB */
}

/* Guests may describe their memory as they like; what they get is write-back. */
static bool write_mtrr(struct vcpu *v, uint32_t index, uint64_t value)
{
    const bool mask = index % 2 != 0;
    if (value >= ADDRESS_LIMIT || (value & (mask ? 0x7FFu : 0xF00u)) != 0) return false;
    if (!mask && !memory_type_valid(value)) return false;
    v->msrs.mtrr[index] = value;
    return true;
}

static bool write_mtrr_default(struct vcpu *v, uint64_t value)
{
    if ((value & ~MTRR_DEFAULT_BITS) != 0 || !memory_type_valid(value)) return false;
    v->msrs.mtrr_default = value;
    return true;
}

/* ---- those that only one maker's CPUs have ---- */

static bool read_intel(uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_PLATFORM_ID: *value = 0; return true;
    case MSR_PLATFORM_INFO: /* highest ratio without turbo, of 100 MHz */
        *value = (tsc_hz() / 100000000 & 0xFF) << 8;
        return true;
    case MSR_MISC_ENABLE: *value = MISC_ENABLE; return true;
    default: return false;
    }
}

static bool read_amd(uint32_t msr, uint64_t *value)
{
    switch (msr) {
    case MSR_AMD_HWCR: *value = HWCR_TSC_FREQ_SEL; return true;
    case MSR_AMD_DE_CFG: *value = DE_CFG_LFENCE_SERIALIZE; return true;
    case MSR_AMD_SYSCFG:
    case MSR_AMD_NB_CFG: *value = 0; return true;
    default: return false;
    }
}

/* Switches of errata and conveniences that a guest may try to throw: nothing happens. */
static bool write_ignored(const struct vcpu *v, uint32_t msr)
{
    if (!v->vm->cpuid.amd) return msr == MSR_MISC_ENABLE;
    return msr == MSR_AMD_HWCR || msr == MSR_AMD_DE_CFG || msr == MSR_AMD_SYSCFG || msr == MSR_AMD_NB_CFG;
}

/* ---- the exits ---- */

bool guest_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *value)
{
    if (is_apic(msr)) return read_apic(v, msr, value);
    if (msr >= MSR_MTRR_FIRST && msr <= MSR_MTRR_LAST) {
        *value = v->msrs.mtrr[msr - MSR_MTRR_FIRST];
        return true;
    }
    switch (msr) {
    case MSR_EFER: *value = vendor->get_sys(v, SYS_EFER); break;
    case MSR_TSC_ADJUST: *value = v->msrs.tsc_adjust; break;
    case MSR_KVM_SYSTEM_TIME_NEW: *value = v->msrs.kvmclock; break;
    case MSR_MTRR_CAP: *value = MTRR_CAP; break;
    case MSR_MTRR_DEFAULT: *value = v->msrs.mtrr_default; break;
    case MSR_UCODE_REV: *value = v->vm->cpuid.amd ? UCODE_REV_AMD : UCODE_REV_INTEL; break;
    case MSR_DEBUGCTL:
    case MSR_MCG_CAP: /* no banks */
    case MSR_MCG_STATUS: *value = 0; break;
    default: return v->vm->cpuid.amd ? read_amd(msr, value) : read_intel(msr, value);
    }
    return true;
}

bool guest_wrmsr(struct vcpu *v, uint32_t msr, uint64_t value)
{
    if (is_apic(msr)) return write_apic(v, msr, value);
    if (msr >= MSR_MTRR_FIRST && msr <= MSR_MTRR_LAST) return write_mtrr(v, msr - MSR_MTRR_FIRST, value);
    switch (msr) {
    case MSR_EFER: return write_efer(v, value);
    case MSR_TSC: move_tsc(v, value - (rdtsc() + v->tsc_offset)); return true;
    case MSR_TSC_ADJUST: move_tsc(v, value - v->msrs.tsc_adjust); return true;
    case MSR_KVM_SYSTEM_TIME_NEW: return kvmclock_enable(v, value);
    case MSR_KVM_WALL_CLOCK_NEW: return kvmclock_write_wall(v, value);
    case MSR_MTRR_DEFAULT: return write_mtrr_default(v, value);
    case MSR_UCODE_REV: /* written before it is read (SDM 3A 9.11.7.1) */ return true;
    case MSR_DEBUGCTL: /* branch records and single-stepping of branches are accepted and do nothing */
        return (value & ~(uint64_t)DEBUGCTL_BITS) == 0;
    case MSR_MCG_STATUS: return value == 0;
    default: return write_ignored(v, msr);
    }
}
