/* SPDX-License-Identifier: MIT
 *
 * Messages between the LAPICs of several vCPUs: whom they reach, and what comes of them there.
 */
#include "dev_machine.h"

enum { LDR = 0xD0, DFR = 0xE0, SVR = 0xF0, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310, LINT0 = 0x350 };

#define ALL     ((1u << VCPUS) - 1)
#define LOGICAL (1u << 11)
#define ASSERT  (1u << 14)
#define SELF    (1u << 18)
#define TO_ALL  (2u << 18)
#define OTHERS  (3u << 18)
#define MODE(m) ((uint32_t)(m) << 8)
#define VECTOR  0x61
#define X2_BASE (LAPIC_BASE | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC)
#define SENDER  2u

enum what { FIXED, NMI, INIT, SIPI, NOTHING };

/* The vCPUs (a bit each) that got it since the last question; every one of them, and nobody else, must have been kicked
 * for a fixed one. */
static unsigned got(enum what what)
{
    unsigned who = 0, kicked = 0;
    for (unsigned i = 0; i < VCPUS; i++) {
        struct lapic *l = &dm.lapic[i];
        const bool here[] = {lapic_pending(l) == VECTOR, dm.nmis[i] != 0, dm.inits[i] != 0, dm.sipis[i] != 0};
        for (unsigned w = 0; w < NOTHING; w++) {
            if (w != what) assert_false(here[w]);
        }
        if (what != NOTHING && here[what]) who |= 1u << i;
        if (dm.kicks[i] != 0) kicked |= 1u << i;
        if (lapic_pending(l) >= 0) {
            lapic_take(l, VECTOR);
            lapic_eoi(l);
        }
        dm.kicks[i] = dm.nmis[i] = dm.inits[i] = dm.sipis[i] = 0;
    }
    if (what == FIXED) assert_int_equal(kicked, who);
    return who;
}

static void send(uint32_t dest, uint32_t low)
{
    apic_set(SENDER, ICR_HIGH, dest << 24);
    apic_set(SENDER, ICR, low | ASSERT);
    assert_int_equal(apic_get(SENDER, ICR) & 1u << 12, 0); /* delivered at once */
}

static void x2_send(uint32_t dest, uint32_t low)
{
    assert_true(lapic_write(&dm.lapic[SENDER], ICR, true, (uint64_t)dest << 32 | low | ASSERT, dm.now_ns));
}

static void x2apics_on(void)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        assert_true(lapic_write_base(&dm.lapic[i], X2_BASE | (i == 0 ? LAPIC_BASE_BSP : 0)));
        assert_true(lapic_write(&dm.lapic[i], SVR, true, 0x1FF, dm.now_ns));
    }
}

static void every_kind_in_every_direction(void **state)
{
    (void)state;
    static const uint32_t modes[] = {[FIXED] = MODE(LAPIC_FIXED) | VECTOR,
                                     [NMI] = MODE(LAPIC_NMI),
                                     [INIT] = MODE(LAPIC_INIT),
                                     [SIPI] = MODE(LAPIC_SIPI) | 9};
    for (unsigned x2 = 0; x2 < 2; x2++) {
        dev_machine_reset();
        if (x2 != 0) {
            x2apics_on();
        } else {
            apics_on();
        }
        void (*const to)(uint32_t, uint32_t) = x2 != 0 ? x2_send : send;
        for (enum what w = FIXED; w < NOTHING; w++) {
            for (unsigned i = 0; i < VCPUS; i++) {
                to(i, modes[w]);
                assert_int_equal(got(w), 1u << i);
            }
            to(VCPUS, modes[w]); /* nobody */
            assert_int_equal(got(w), 0);
            to(x2 != 0 ? LAPIC_BROADCAST : 0xFF, modes[w]);
            assert_int_equal(got(w), ALL);
            to(0, modes[w] | OTHERS);
            assert_int_equal(got(w), ALL & ~(1u << SENDER));
            /* Oneself by shorthand: fixed ones only. */
            to(0, modes[w] | TO_ALL);
            assert_int_equal(got(w), w == FIXED ? ALL : 0);
            to(0, modes[w] | SELF);
            assert_int_equal(got(w), w == FIXED ? 1u << SENDER : 0);
        }
        assert_int_equal(dm.sipi_vector, 9);
    }
    x2_send(0xFF, VECTOR); /* only an xAPIC's id is 8 bits wide */
    assert_int_equal(got(FIXED), 0);
    assert_true(lapic_write(&dm.lapic[SENDER], 0x3F0, true, VECTOR, dm.now_ns));
    assert_int_equal(got(FIXED), 1u << SENDER);
    assert_true(lapic_write(&dm.lapic[SENDER], 0x3F0, true, 3, dm.now_ns)); /* no such vector */
    assert_true(lapic_write(&dm.lapic[SENDER], ESR, true, 0, dm.now_ns));
    assert_int_equal(dm.lapic[SENDER].esr, 0x20);
}

static void logical_destinations(void **state)
{
    (void)state;
    apics_on();
    send(ALL, LOGICAL | VECTOR); /* nobody has a logical id yet; 0xFF reaches all the same */
    assert_int_equal(got(FIXED), ALL);
    for (unsigned i = 0; i < VCPUS; i++) apic_set(i, LDR, 1u << (24 + i));
    for (unsigned set = 0; set <= ALL; set++) {
        send(set, LOGICAL | VECTOR);
        assert_int_equal(got(FIXED), set);
    }
    /* Cluster model: two clusters of four. */
    for (unsigned i = 0; i < VCPUS; i++) {
        apic_set(i, DFR, 0x0FFFFFFF);
        apic_set(i, LDR, (i / 4 << 4 | 1u << i % 4) << 24);
    }
    for (unsigned set = 0; set < 16; set++) {
        send(set, LOGICAL | VECTOR);
        assert_int_equal(got(FIXED), set);
        send(1u << 4 | set, LOGICAL | VECTOR);
        assert_int_equal(got(FIXED), set << 4 & ALL);
        send(2u << 4 | set, LOGICAL | VECTOR);
        assert_int_equal(got(FIXED), 0);
    }
    dev_machine_reset();
    x2apics_on();
    for (unsigned set = 0; set <= ALL; set++) {
        x2_send(set, LOGICAL | VECTOR);
        assert_int_equal(got(FIXED), set);
    }
    x2_send(1u << 16 | ALL, LOGICAL | VECTOR); /* another cluster */
    assert_int_equal(got(FIXED), 0);
}

static void lowest_priority_chooses_one(void **state)
{
    (void)state;
    apics_on();
    for (unsigned i = 0; i < VCPUS; i++) apic_set(i, 0x80, i == 5 ? 0x10 : 0x20);
    send(0xFF, MODE(LAPIC_LOWEST) | VECTOR);
    assert_int_equal(got(FIXED), 1u << 5);
    send(0, MODE(LAPIC_LOWEST) | OTHERS | VECTOR);
    assert_int_equal(got(FIXED), 1u << 5);
    apic_set(SENDER, 0x80, 0);
    send(0, MODE(LAPIC_LOWEST) | OTHERS | VECTOR);
    assert_int_equal(got(FIXED), 1u << 5);
    send(0xFF, MODE(LAPIC_LOWEST) | VECTOR);
    assert_int_equal(got(FIXED), 1u << SENDER);
    apic_set(SENDER, SVR, 0xFF); /* takes none */
    send(0xFF, MODE(LAPIC_LOWEST) | VECTOR);
    assert_int_equal(got(FIXED), 1u << 5);
    send(7, MODE(LAPIC_LOWEST) | VECTOR);
    assert_int_equal(got(FIXED), 1u << 7);
}

static void disabled_apics(void **state)
{
    (void)state;
    apics_on();
    apic_set(3, SVR, 0xFF);                                  /* by software */
    assert_true(lapic_write_base(&dm.lapic[4], LAPIC_BASE)); /* by hardware */
    send(0, OTHERS | VECTOR);
    assert_int_equal(lapic_pending(&dm.lapic[3]), -1);
    dm.kicks[3] = 0; /* for nothing: allowed */
    assert_int_equal(got(FIXED), ALL & ~(1u << SENDER | 1u << 3 | 1u << 4));
    send(0, OTHERS | MODE(LAPIC_NMI));
    assert_int_equal(got(NMI), ALL & ~(1u << SENDER | 1u << 4));
    send(4, MODE(LAPIC_INIT));
    assert_int_equal(got(INIT), 0);
    send(3, MODE(LAPIC_INIT));
    assert_int_equal(got(INIT), 1u << 3);
    send(3, MODE(LAPIC_SIPI) | 9);
    assert_int_equal(got(SIPI), 1u << 3);
    /* One that waits for its SIPI is as after power-on. */
    lapic_reset(&dm.lapic[5]);
    send(5, VECTOR);
    dm.kicks[5] = 0;
    assert_int_equal(got(FIXED), 0);
    apic_set(5, SVR, 0x1FF);
    assert_int_equal(got(FIXED), 0); /* it was dropped, not kept */
}

static void no_vector_is_lost_when_many_come(void **state)
{
    (void)state;
    apics_on();
    for (unsigned vector = 16; vector < 256; vector++) send(1, vector);
    for (unsigned vector = 255; vector >= 16; vector--) {
        assert_int_equal(lapic_pending(&dm.lapic[1]), vector);
        lapic_take(&dm.lapic[1], (uint8_t)vector);
        lapic_eoi(&dm.lapic[1]);
    }
}

static void the_ioapic_reaches_every_vcpu(void **state)
{
    (void)state;
    apics_on();
    for (unsigned i = 0; i < VCPUS; i++) apic_set(i, LDR, 1u << (24 + i));
    for (unsigned i = 0; i < VCPUS; i++) {
        ioapic_set(16, VECTOR | 1u << 15 | (uint64_t)i << 56);
        platform_gsi(&dm.platform, 16, true);
        assert_int_equal(got(FIXED), 1u << i);
        /* Level-triggered: its EOI has brought it again. */
        assert_int_equal(lapic_pending(&dm.lapic[i]), VECTOR);
        dm.kicks[i]++;
        platform_gsi(&dm.platform, 16, false);
        assert_int_equal(got(FIXED), 1u << i);
        assert_int_equal(got(FIXED), 0);
        ioapic_set(5, VECTOR | LOGICAL | (1ull << i) << 56);
        platform_gsi(&dm.platform, 5, true);
        assert_int_equal(got(FIXED), 1u << i);
        platform_gsi(&dm.platform, 5, false);
    }
    ioapic_set(5, MODE(LAPIC_NMI) | 6ull << 56);
    platform_gsi(&dm.platform, 5, true);
    assert_int_equal(got(NMI), 1u << 6);
}

static void the_8259_belongs_to_the_first_vcpu(void **state)
{
    (void)state;
    apics_on();
    static const uint8_t pic[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 4}, {0x21, 1}, {0x21, 0}};
    for (size_t i = 0; i < ARRAY_LEN(pic); i++) out8(pic[i][0], pic[i][1]);
    for (unsigned i = 1; i < VCPUS; i++) apic_set(i, LINT0, MODE(LAPIC_EXTINT));
    platform_gsi(&dm.platform, 5, true);
    assert_int_equal(platform_pic_pending(&dm.platform), 0x35);
    assert_int_equal(dm.kicks[0], 1);
    for (unsigned i = 1; i < VCPUS; i++) assert_int_equal(dm.kicks[i], 0);
    apic_set(0, LINT0, 1u << 16 | MODE(LAPIC_EXTINT));
    assert_int_equal(platform_pic_pending(&dm.platform), -1);
    /* By the IOAPIC it does not come. */
    ioapic_set(5, MODE(LAPIC_EXTINT) | 1ull << 56);
    platform_gsi(&dm.platform, 5, false);
    platform_gsi(&dm.platform, 5, true);
    assert_int_equal(got(NOTHING), 0);
}

const struct CMUnitTest ipi_tests[] = {
    TEST(every_kind_in_every_direction),      TEST(logical_destinations),
    TEST(lowest_priority_chooses_one),        TEST(disabled_apics),
    TEST(no_vector_is_lost_when_many_come),   TEST(the_ioapic_reaches_every_vcpu),
    TEST(the_8259_belongs_to_the_first_vcpu),
};
const size_t ipi_test_count = ARRAY_LEN(ipi_tests);
