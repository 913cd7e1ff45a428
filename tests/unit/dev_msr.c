/* SPDX-License-Identifier: MIT
 *
 * MSRs and kvmclock for guests.
 */
#include "dev_vm.h"

#include "vm/kvmclock.h"
#include "x86/cpu.h"
#include "x86/msr.h"

static uint64_t rd(uint32_t msr)
{
    uint64_t value;
    if (!guest_rdmsr(&dev_vcpu, msr, &value)) fail_msg("RDMSR 0x%x faults", msr);
    return value;
}

static bool rd_faults(uint32_t msr)
{
    uint64_t value;
    return !guest_rdmsr(&dev_vcpu, msr, &value);
}

static bool wr(uint32_t msr, uint64_t value)
{
    return guest_wrmsr(&dev_vcpu, msr, value);
}

static void the_unknown_faults(void **state)
{
    (void)state;
    static const uint32_t all[] = {
        0x11,  0x12,  0x3A,  0x48,       0x49,       0x10A,      0x186,      0x250,      0x268,     0x26F,
        0x38F, 0x480, 0xDA0, 0x4b564d02, 0xC0010055, 0xC0010058, 0xC0010114, 0xC0011020, 0xFFFFFFFF};
    for (unsigned amd = 0; amd < 2; amd++) {
        dev_vm.cpuid.amd = amd != 0;
        for (size_t i = 0; i < ARRAY_LEN(all); i++) {
            if (!rd_faults(all[i])) fail_msg("MSR 0x%x can be read", all[i]);
            if (wr(all[i], 0)) fail_msg("MSR 0x%x can be written", all[i]);
        }
    }
}

static void each_maker_has_its_own(void **state)
{
    (void)state;
    assert_int_equal(rd(0xCE), 20 << 8);
    assert_int_equal(rd(0x1A0), 0x1801);
    assert_true(wr(0x1A0, 0));
    assert_int_equal(rd(0x17), 0);
    assert_true(rd_faults(0xC0010015));
    assert_false(wr(0xC0010015, 0));
    assert_int_equal(rd(0x8B), 1ull << 32);
    assert_true(wr(0x8B, 0));
    dev_vm.cpuid.amd = true;
    assert_int_equal(rd(0xC0010015) >> 24 & 1, 1);
    assert_int_equal(rd(0xC0011029), 2);
    assert_int_equal(rd(0xC0010010), 0);
    assert_int_equal(rd(0xC001001F), 0);
    assert_true(wr(0xC0010015, 0));
    assert_true(rd_faults(0x1A0));
    assert_true(rd_faults(0xCE));
    assert_int_equal(rd(0x8B), 0x01000065);
    assert_int_equal(rd(0x179), 0);
    assert_int_equal(rd(0x17A), 0);
    assert_true(wr(0x17A, 0));
    assert_false(wr(0x17A, 1));
    assert_int_equal(rd(0x1D9), 0);
    assert_true(wr(0x1D9, 3));
    assert_false(wr(0x1D9, 4));
}

static void efer_is_checked(void **state)
{
    (void)state;
    dev_vm.cpuid.extended[1][3] = 1u << 20;
    assert_true(wr(MSR_EFER, EFER_SCE | EFER_LME | EFER_NXE));
    assert_int_equal(rd(MSR_EFER), EFER_SCE | EFER_LME | EFER_NXE);
    assert_false(wr(MSR_EFER, EFER_SVME));
    assert_false(wr(MSR_EFER, 1ull << 14));
    dev_sys[SYS_CR0] = CR0_PG | CR0_PE;
    dev_sys[SYS_EFER] |= EFER_LMA;
    assert_false(wr(MSR_EFER, EFER_SCE));
    assert_true(wr(MSR_EFER, EFER_LME)); /* LMA is not the guest's to clear */
    assert_int_equal(rd(MSR_EFER), EFER_LME | EFER_LMA);
    dev_vm.cpuid.extended[1][3] = 0;
    assert_false(wr(MSR_EFER, EFER_LME | EFER_NXE));
}

static void memory_types_are_write_back_and_can_be_described(void **state)
{
    (void)state;
    assert_int_equal(rd(0xFE), 0x408);
    assert_int_equal(rd(0x2FF), 0x806);
    assert_true(wr(0x2FF, 0xC00));
    assert_int_equal(rd(0x2FF), 0xC00);
    assert_false(wr(0x2FF, 0x802)); /* no such type */
    assert_false(wr(0x2FF, 0x1806));
    assert_true(wr(0x20E, 0xC0000000));
    assert_true(wr(0x20F, 0xFC0000800));
    assert_int_equal(rd(0x20F), 0xFC0000800);
    assert_false(wr(0x20E, 0xC0000003));
    assert_false(wr(0x20E, 0xC0000100));
    assert_false(wr(0x20F, 0x400));
    assert_false(wr(0x20F, 1ull << 52));
    assert_true(rd_faults(0x210));
}

static void the_apic_is_reached(void **state)
{
    (void)state;
    assert_int_equal(rd(MSR_APIC_BASE), 0xFEE00900);
    assert_true(rd_faults(0x802));
    assert_true(wr(MSR_APIC_BASE, 0xFEE00D00));
    assert_int_equal(rd(0x802), 0);
    assert_true(wr(0x80F, 0x1FF));
    assert_true(wr(0x83F, 0x77));
    assert_int_equal(lapic_pending(&dev_vcpu.lapic), 0x77);
    assert_false(wr(0x80B, 1));
    assert_false(wr(MSR_APIC_BASE, 0xFEE00900));
    assert_true(rd_faults(0x8FF));
    assert_true(lock_is_free(&dev_vm.platform.lock));
}

static void deadlines(void **state)
{
    (void)state;
    struct lapic *l = &dev_vcpu.lapic;
    assert_true(wr(MSR_TSC_DEADLINE, 5));
    assert_int_equal(rd(MSR_TSC_DEADLINE), 0); /* another timer mode */
    l->lvt[LVT_TIMER] = 2u << 17 | 0x40;
    dev_vcpu.tsc_offset = (uint64_t)0 - rdtsc();
    assert_true(wr(MSR_TSC_DEADLINE, 2000000000000)); /* 1,000 s after the guest's TSC 0 */
    assert_in_range(l->timer_deadline_ns, 990000000000, dev_now_ns + 1000000000000);
    assert_int_equal(rd(MSR_TSC_DEADLINE), 2000000000000);
    assert_true(wr(MSR_TSC_DEADLINE, 1)); /* in the past: at once */
    assert_int_equal(l->timer_deadline_ns, dev_now_ns);
    assert_true(wr(MSR_TSC_DEADLINE, UINT64_MAX));
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE);
    dev_tsc_hz = 1000; /* a slow clock does not overflow */
    assert_true(wr(MSR_TSC_DEADLINE, UINT64_MAX / 2));
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE);
    assert_true(wr(MSR_TSC_DEADLINE, 0));
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE);
    assert_int_equal(rd(MSR_TSC_DEADLINE), 0);
}

static void writing_the_tsc_moves_everything_with_it(void **state)
{
    (void)state;
    dev_vcpu.tsc_offset = (uint64_t)0 - rdtsc();
    const uint64_t offset = dev_vcpu.tsc_offset;
    assert_true(wr(MSR_KVM_SYSTEM_TIME_NEW, 0x2000 | 1));
    assert_true(wr(0x3B, 1000));
    assert_int_equal(dev_vcpu.tsc_offset, offset + 1000);
    assert_int_equal(rd(0x3B), 1000);
    struct pvclock_time t;
    get(0x2000, &t, sizeof t);
    assert_int_equal(t.tsc_timestamp, 1000);
    assert_true(wr(0x10, 1ull << 40));
    assert_in_range(rd(0x3B), (1ull << 40) - 20000000000, 1ull << 40);
    assert_int_equal(dev_vcpu.tsc_offset, offset + rd(0x3B));
    assert_true(wr(0x3B, 0));
    assert_int_equal(dev_vcpu.tsc_offset, offset);
    assert_int_equal(dev_offset_sets, 3);

    dev_vcpu.lapic.lvt[LVT_TIMER] = 2u << 17 | 0x40;
    assert_true(wr(MSR_TSC_DEADLINE, 1ull << 40));
    assert_true(wr(0x3B, 1ull << 40)); /* the deadline is passed now */
    assert_int_equal(dev_vcpu.lapic.timer_deadline_ns, dev_now_ns);
}

static void the_clock_is_exact(void **state)
{
    (void)state;
    static const uint64_t all[] = {50000000,   999999999,  1000000000, 1000000001,
                                   2294608000, 3999999999, 4000000000, 7999999999};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        uint32_t mul;
        int8_t shift;
        pvclock_scale(all[i], &mul, &shift);
        assert_true(mul >= 1u << 31);
        /* An hour, as the guest computes it. */
        const uint64_t ticks = all[i] * 3600;
        const uint64_t shifted = shift >= 0 ? ticks << shift : ticks >> -shift;
        const uint64_t ns = (uint64_t)((unsigned __int128)shifted * mul >> 32);
        assert_in_range(ns, 3600000000000 - 2000, 3600000000000 + 1);
    }
}

static void kvmclock_is_written_and_stopped(void **state)
{
    (void)state;
    struct pvclock_time t;
    assert_true(wr(MSR_KVM_SYSTEM_TIME_NEW, 0x2000 | 1));
    assert_int_equal(rd(MSR_KVM_SYSTEM_TIME_NEW), 0x2001);
    get(0x2000, &t, sizeof t);
    assert_int_equal(t.version & 1, 0);
    assert_int_equal(t.flags, 1);
    assert_int_equal(t.system_time_ns, 0);
    assert_int_equal(t.tsc_timestamp, 0);
    assert_false(wr(MSR_KVM_SYSTEM_TIME_NEW, RAM_BYTES | 1));
    assert_int_equal(rd(MSR_KVM_SYSTEM_TIME_NEW), 0x2001);
    assert_true(wr(MSR_KVM_SYSTEM_TIME_NEW, 0));
    memset(&t, 0, sizeof t);
    put(0x2000, &t, sizeof t);
    assert_true(wr(0x3B, 5));
    get(0x2000, &t, sizeof t);
    assert_int_equal(t.version, 0); /* not written any more */
}

static void init_keeps_time_and_memory_types_and_forgets_the_clocks_page(void **state)
{
    (void)state;
    struct pvclock_time t;
    assert_true(wr(0x3B, 1000));
    assert_true(wr(0x20E, 0xC0000000));
    assert_true(wr(MSR_KVM_SYSTEM_TIME_NEW, 0x2000 | 1));
    get(0x2000, &t, sizeof t);
    const uint32_t version = t.version;
    guest_msr_init(&dev_vcpu);
    assert_int_equal(rd(0x3B), 1000);
    assert_int_equal(rd(0x20E), 0xC0000000);
    assert_int_equal(rd(0x2FF), 0x806);
    assert_int_equal(rd(MSR_KVM_SYSTEM_TIME_NEW), 0);
    assert_true(wr(0x3B, 0));
    get(0x2000, &t, sizeof t);
    assert_int_equal(t.tsc_timestamp, 1000);
    assert_true(wr(MSR_KVM_SYSTEM_TIME_NEW, 0x2000 | 1));
    get(0x2000, &t, sizeof t);
    assert_int_equal(t.tsc_timestamp, 0);
    assert_int_equal(t.version, version + 2); /* who reads just now reads again */
}

static void the_wall_clock_is_the_guests_start(void **state)
{
    (void)state;
    uint32_t wall[3];
    dm.wall_ns = 1767225600500000000;
    dev_vcpu.tsc_offset = (uint64_t)0 - rdtsc();
    assert_true(wr(MSR_KVM_WALL_CLOCK_NEW, 0x3000));
    get(0x3000, wall, sizeof wall);
    assert_int_equal(wall[0] & 1, 0);
    assert_in_range(wall[1], 1767225590, 1767225600);
    assert_true(wall[2] < 1000000000);
    assert_false(wr(MSR_KVM_WALL_CLOCK_NEW, RAM_BYTES - 4));
}

const struct CMUnitTest msr_tests[] = {
    VM_TEST(the_unknown_faults),
    VM_TEST(each_maker_has_its_own),
    VM_TEST(efer_is_checked),
    VM_TEST(memory_types_are_write_back_and_can_be_described),
    VM_TEST(the_apic_is_reached),
    VM_TEST(deadlines),
    VM_TEST(writing_the_tsc_moves_everything_with_it),
    VM_TEST(the_clock_is_exact),
    VM_TEST(kvmclock_is_written_and_stopped),
    VM_TEST(init_keeps_time_and_memory_types_and_forgets_the_clocks_page),
    VM_TEST(the_wall_clock_is_the_guests_start),
};
const size_t msr_test_count = ARRAY_LEN(msr_tests);
