/* SPDX-License-Identifier: MIT
 *
 * CPUID for guests.
 */
#include <string.h>

#include "dev_vm.h"

#include "x86/msr.h"

enum { EAX, EBX, ECX, EDX };

static bool host_is_amd;
static uint32_t host_basic_max;

/* A host that claims everything there is. */
static void host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned i = 0; i < 4; i++) out[i] = UINT32_MAX;
    switch (leaf) {
    case 0:
    case 0x80000000:
        out[EAX] = leaf == 0 ? host_basic_max : 0x80000021;
        memcpy(&out[EBX], host_is_amd ? "Auth" : "Genu", 4);
        memcpy(&out[EDX], host_is_amd ? "enti" : "ineI", 4);
        memcpy(&out[ECX], host_is_amd ? "cAMD" : "ntel", 4);
        break;
    case 4: out[EAX] = subleaf < 3 ? 0xFFFFC000 | subleaf << 5 | (subleaf == 2 ? 0x63 : 0x21) : 0; break;
    case 0xD:
        if (subleaf >= 2) {
            out[EAX] = 100 * subleaf;  /* size */
            out[EBX] = 1000 * subleaf; /* offset */
        }
        break;
    default: break;
    }
}

static void make(bool amd, uint32_t vcpus, uint64_t xcr0, uint64_t tsc_hz)
{
    const struct cpuid_host host = {.cpuid = host_cpuid, .xcr0 = xcr0, .tsc_hz = tsc_hz};
    host_is_amd = amd;
    host_basic_max = amd ? 0x10 : 0x20;
    guest_cpuid_init(&dev_vm.cpuid, &host, vcpus);
}

static const uint32_t *ask(uint32_t leaf, uint32_t subleaf)
{
    static uint32_t out[4];
    uint32_t scratch[4];
    memcpy(out, guest_cpuid(&dev_vcpu, leaf, subleaf, scratch), sizeof scratch);
    return out;
}

#define BIT(n) (1u << (n))

static void what_is_not_virtualised_is_not_shown(void **state)
{
    (void)state;
    for (unsigned amd = 0; amd < 2; amd++) {
        make(amd != 0, 1, 0xE7, 2000000000);
        /* MONITOR, VMX, SMX, PDCM, PCID, DCA; machine check, thermal, debug store. */
        assert_int_equal(ask(1, 0)[ECX] & (BIT(3) | BIT(5) | BIT(6) | BIT(15) | BIT(17) | BIT(18)), 0);
        assert_int_equal(
            ask(1, 0)[EDX] & (BIT(7) | BIT(14) | BIT(18) | BIT(21) | BIT(22) | BIT(29) | BIT(31)), 0);
        assert_int_equal(ask(1, 0)[EDX] & BIT(28), 0); /* one vCPU */
        /* INVPCID, RTM, MPX; PKU, LA57; IBRS, STIBP, ARCH_CAPABILITIES, SSBD. */
        assert_int_equal(ask(7, 0)[EBX] & (BIT(10) | BIT(11) | BIT(14)), 0);
        assert_int_equal(ask(7, 0)[ECX] & (BIT(3) | BIT(4) | BIT(7) | BIT(16)), 0);
        assert_int_equal(ask(7, 0)[EDX] & (BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(30) | BIT(31)), 0);
        assert_int_equal(ask(7, 0)[EAX], 0);
        assert_int_equal(ask(7, 1)[EBX], 0);
        assert_int_equal(ask(5, 0)[EAX] | ask(5, 0)[EDX], 0);
        assert_int_equal(ask(6, 0)[EAX], 4);
        assert_int_equal(ask(10, 0)[EAX], 0);
        assert_int_equal(ask(0xD, 1)[EAX], 5); /* no XSAVEC, no XSAVES */
        assert_int_equal(ask(0x80000001, 0)[ECX] & (BIT(2) | BIT(10) | BIT(22) | BIT(23) | BIT(24)), 0);
        assert_int_equal(ask(0x80000000, 0)[EAX], 0x80000008);
        assert_int_equal(ask(0x80000007, 0)[EDX], BIT(8));
        assert_int_equal(ask(0x80000007, 0)[EAX], 0);
        assert_int_equal(ask(0x80000008, 0)[EBX], BIT(0) | BIT(2));
        assert_int_equal(ask(0x8000000A, 0)[EAX], 0);
        assert_int_equal(ask(0x8000001F, 0)[EAX], 0);
        assert_int_equal(ask(0x14, 0)[EAX], 0);
    }
}

static void what_we_make_is_shown(void **state)
{
    (void)state;
    make(false, 1, 7, 2000000000);
    assert_int_equal(ask(1, 0)[ECX] & (BIT(21) | BIT(24) | BIT(31)), BIT(21) | BIT(24) | BIT(31));
    assert_int_equal(ask(1, 0)[EDX] & (BIT(9) | BIT(12)), BIT(9) | BIT(12));
    assert_int_equal(ask(7, 0)[EBX] & BIT(1), BIT(1));
    const uint32_t *out = ask(0x40000000, 0);
    assert_int_equal(out[EAX], 0x40000010);
    assert_memory_equal(&out[EBX], "KVMKVMKVM\0\0\0", 12);
    assert_int_equal(ask(0x40000001, 0)[EAX], BIT(1) | BIT(3) | BIT(24));
    assert_int_equal(ask(0x40000010, 0)[EAX], 2000000);
    assert_int_equal(ask(0x40000010, 0)[EBX], 1000000);
    assert_int_equal(ask(0x40000002, 0)[EAX], 0);
    assert_int_equal(ask(0x40000100, 0)[EAX], 0);
    assert_int_equal(ask(0xFFFFFFFF, 0)[EAX], 0);
}

static void features_follow_the_state_that_can_be_saved(void **state)
{
    (void)state;
    make(false, 1, 3, 2000000000);
    assert_int_equal(ask(1, 0)[ECX] & (BIT(12) | BIT(26) | BIT(28)), BIT(26));
    assert_int_equal(ask(7, 0)[EBX] & (BIT(5) | BIT(16)), 0);
    make(false, 1, 7, 2000000000);
    assert_int_equal(ask(7, 0)[EBX] & (BIT(5) | BIT(16)), BIT(5));
    make(false, 1, 0xE7, 2000000000);
    assert_int_equal(ask(7, 0)[EBX] & (BIT(5) | BIT(16)), BIT(5) | BIT(16));
    make(false, 1, 0, 2000000000);
    assert_int_equal(ask(1, 0)[ECX] & (BIT(26) | BIT(27) | BIT(28)), 0);
    assert_int_equal(ask(0xD, 0)[EAX], 0);
    assert_int_equal(ask(0xD, 0)[EBX], 0);
}

static void xsave_sizes_follow_xcr0(void **state)
{
    (void)state;
    make(false, 1, 0xE7, 2000000000);
    assert_int_equal(ask(0xD, 0)[EAX], 0xE7);
    assert_int_equal(ask(0xD, 0)[ECX], 7700);
    assert_int_equal(ask(0xD, 0)[EBX], 576);
    dev_xcr0 = 7;
    assert_int_equal(ask(0xD, 0)[EBX], 2200);
    assert_int_equal(ask(0xD, 2)[EAX], 200);
    assert_int_equal(ask(0xD, 2)[EBX], 2000);
    assert_int_equal(ask(0xD, 2)[ECX], 0);
    assert_int_equal(ask(0xD, 3)[EAX], 0);
    assert_int_equal(ask(0xD, 63)[EAX], 0);
}

static void osxsave_mirrors_cr4(void **state)
{
    (void)state;
    make(true, 1, 7, 2000000000);
    assert_int_equal(ask(1, 0)[ECX] & BIT(27), 0);
    dev_sys[SYS_CR4] = CR4_OSXSAVE;
    assert_int_equal(ask(1, 0)[ECX] & BIT(27), BIT(27));
}

static void topology_has_one_core_per_vcpu(void **state)
{
    (void)state;
    dev_vcpu.index = 2;
    make(false, 3, 7, 2000000000);
    assert_int_equal(ask(1, 0)[EBX] >> 24, 2);
    assert_int_equal(ask(1, 0)[EBX] >> 16 & 0xFF, 4);
    assert_int_equal(ask(1, 0)[EDX] & BIT(28), BIT(28));
    assert_int_equal(ask(0xB, 0)[EBX], 1);
    assert_int_equal(ask(0xB, 0)[ECX], 0x100);
    assert_int_equal(ask(0xB, 1)[EAX], 2);
    assert_int_equal(ask(0xB, 1)[EBX], 3);
    assert_int_equal(ask(0xB, 1)[ECX], 0x201);
    assert_int_equal(ask(0xB, 2)[EBX], 0);
    assert_int_equal(ask(0xB, 2)[ECX], 2);
    assert_int_equal(ask(0xB, 2)[EDX], 2);
    assert_int_equal(ask(4, 0)[EAX] >> 14, 3u << 12);      /* first level: one vCPU shares it */
    assert_int_equal(ask(4, 2)[EAX] >> 14, 3u << 12 | 3u); /* last level: all */
    assert_int_equal(ask(4, 3)[EAX], 0);
    assert_int_equal(ask(4, 99)[EAX], 0);
    make(true, 3, 7, 2000000000);
    assert_int_equal(ask(0x80000008, 0)[ECX], 2u << 12 | 2u);
    assert_int_equal(ask(0x80000001, 0)[ECX] & BIT(1), BIT(1));
    assert_int_equal(ask(4, 0)[EAX], 0);
}

/* As Linux 6.1 and others take an APIC id apart: one package, every vCPU a core of its own, on both makers' ways. */
static void ids_fit_the_topology_for_every_count(void **state)
{
    (void)state;
    for (uint32_t vcpus = 1; vcpus <= VCPUS_MAX; vcpus++) {
        for (uint32_t id = 0; id < vcpus; id++) {
            dev_vcpu.index = id;
            make(false, vcpus, 7, 2000000000);
            assert_int_equal(ask(1, 0)[EBX] >> 24, id);
            assert_int_equal(ask(1, 0)[EDX] >> 28 & 1, vcpus > 1);
            assert_true((ask(1, 0)[EBX] >> 16 & 0xFF) >= vcpus);
            assert_true((ask(4, 0)[EAX] >> 26) + 1 >= vcpus); /* cores */
            assert_int_equal(ask(4, 0)[EAX] >> 26, (ask(1, 0)[EBX] >> 16 & 0xFF) - 1);
            assert_int_equal(ask(0xB, 0)[EDX], id);
            assert_int_equal(ask(0xB, 0)[EAX], 0); /* no bits number threads */
            assert_int_equal(ask(0xB, 1)[EDX] >> ask(0xB, 1)[EAX], 0);
            assert_int_equal(ask(0xB, 1)[EBX], vcpus);
            assert_true(1u << ask(0xB, 1)[EAX] < 2 * vcpus);
            make(true, vcpus, 7, 2000000000);
            assert_int_equal(ask(1, 0)[EBX] >> 24, id);
            assert_int_equal((ask(0x80000008, 0)[ECX] & 0xFF) + 1, vcpus);
            assert_int_equal(id >> (ask(0x80000008, 0)[ECX] >> 12 & 15), 0);
            assert_int_equal(ask(0x80000001, 0)[ECX] >> 1 & 1, vcpus > 1);
        }
    }
    dev_vcpu.index = 0;
}

static void the_ratio_is_near(void **state)
{
    (void)state;
    static const uint64_t all[] = {50000000,   50001605,   110000000,  999999999,  1000000000, 1000000079,
                                   2294608000, 3500000000, 4294967295, 5000000000, 1000232829, 999767225};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        uint32_t n, d;
        cpuid_tsc_ratio(all[i], 1000000000, 4294, &n, &d);
        assert_in_range(n, 1, 4294);
        assert_true(d != 0);
        const double error = (double)n / d * 1e9 / (double)all[i] - 1;
        if (error > 1e-6 || error < -1e-6) fail_msg("%lu Hz: %u/%u is off by %g", all[i], n, d, error);
    }
}

static void leaf_15_is_as_linux_computes_it(void **state)
{
    (void)state;
    make(false, 1, 7, 2294608000);
    const uint32_t *out = ask(0x15, 0);
    const uint32_t crystal_khz = out[ECX] / 1000;
    assert_in_range(crystal_khz * out[EBX] / out[EAX], 2294607, 2294609); /* in 32 bits */
    assert_int_equal(ask(0x16, 0)[EAX], 2295);
    make(true, 1, 7, 2294608000);
    assert_int_equal(ask(0, 0)[EAX], 0x10);
    assert_int_equal(ask(0x15, 0)[EAX], 0);
}

const struct CMUnitTest cpuid_tests[] = {
    VM_TEST(what_is_not_virtualised_is_not_shown),
    VM_TEST(what_we_make_is_shown),
    VM_TEST(features_follow_the_state_that_can_be_saved),
    VM_TEST(xsave_sizes_follow_xcr0),
    VM_TEST(osxsave_mirrors_cr4),
    VM_TEST(topology_has_one_core_per_vcpu),
    VM_TEST(ids_fit_the_topology_for_every_count),
    VM_TEST(the_ratio_is_near),
    VM_TEST(leaf_15_is_as_linux_computes_it),
};
const size_t cpuid_test_count = ARRAY_LEN(cpuid_tests);
