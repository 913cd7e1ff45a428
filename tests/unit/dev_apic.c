/* SPDX-License-Identifier: MIT
 *
 * LAPIC, IOAPIC, and the messages between them.
 */
#include "dev_machine.h"

enum {
    ID = 0x20,
    VERSION = 0x30,
    TPR = 0x80,
    PPR = 0xA0,
    EOI = 0xB0,
    LDR = 0xD0,
    DFR = 0xE0,
    SVR = 0xF0,
    ISR = 0x100,
    TMR = 0x180,
    IRR = 0x200,
    ESR = 0x280,
    ICR = 0x300,
    ICR_HIGH = 0x310,
    LVT_FIRST = 0x320,
    LVT_ERR = 0x370,
};

#define LEVEL  (1u << 15)
#define MASKED (1u << 16)

static void end(unsigned index, int vector)
{
    assert_int_equal(lapic_pending(&dm.lapic[index]), vector);
    lapic_take(&dm.lapic[index], (uint8_t)vector);
    apic_set(index, EOI, 0);
}

static void after_power_on(void **state)
{
    (void)state;
    assert_int_equal(apic_get(1, ID), 1u << 24);
    assert_int_equal(apic_get(0, VERSION), 0x50014);
    assert_int_equal(apic_get(0, SVR), 0xFF);
    assert_int_equal(apic_get(0, DFR), 0xFFFFFFFF);
    assert_int_equal(apic_get(0, 0x350), 0x700); /* virtual wire */
    assert_int_equal(apic_get(1, 0x350), MASKED);
    assert_int_equal(apic_get(0, LVT_FIRST), MASKED);
}

static void a_disabled_apic_takes_nothing_and_masks_its_own(void **state)
{
    (void)state;
    lapic_accept(&dm.lapic[0], 0x50, false);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    apic_set(0, LVT_FIRST, 0x40);
    assert_int_equal(apic_get(0, LVT_FIRST), 0x40 | MASKED);
    apics_on();
    apic_set(0, LVT_FIRST, 0x40);
    assert_int_equal(apic_get(0, LVT_FIRST), 0x40);
    apic_set(0, SVR, 0xFF);
    assert_int_equal(apic_get(0, LVT_FIRST), 0x40 | MASKED);
}

static void priorities(void **state)
{
    (void)state;
    apics_on();
    lapic_accept(&dm.lapic[0], 0x51, false);
    lapic_accept(&dm.lapic[0], 0x62, false);
    assert_int_equal(apic_get(0, IRR + 0x20), 1u << 17);
    assert_int_equal(lapic_pending(&dm.lapic[0]), 0x62);
    lapic_take(&dm.lapic[0], 0x62);
    assert_int_equal(apic_get(0, ISR + 0x30), 1u << 2);
    assert_int_equal(apic_get(0, PPR), 0x60);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    lapic_accept(&dm.lapic[0], 0x6F, false); /* the same class waits */
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    lapic_accept(&dm.lapic[0], 0x70, false);
    end(0, 0x70);
    apic_set(0, EOI, 0);
    apic_set(0, TPR, 0x60);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    apic_set(0, TPR, 0x5F);
    end(0, 0x6F);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    apic_set(0, TPR, 0x4F);
    end(0, 0x51);
    apic_set(0, EOI, 0); /* with nothing in service */
    assert_int_equal(dm.lapic[0].eois, 5);
}

static void edge_interrupts(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(5, 0x35 | 1ull << 56);
    platform_gsi(&dm.platform, 5, true);
    assert_int_equal(dm.kicks[1], 1);
    end(1, 0x35);
    platform_gsi(&dm.platform, 5, true);
    assert_int_equal(lapic_pending(&dm.lapic[1]), -1);
    platform_gsi(&dm.platform, 5, false);
    platform_gsi(&dm.platform, 5, true);
    end(1, 0x35);
    ioapic_set(5, 0x35 | 1ull << 56 | MASKED);
    platform_gsi(&dm.platform, 5, false);
    platform_gsi(&dm.platform, 5, true);
    ioapic_set(5, 0x35 | 1ull << 56);
    assert_int_equal(lapic_pending(&dm.lapic[1]), -1); /* lost while masked */
}

static void level_interrupts_come_again_until_the_line_falls(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(16, 0x36 | LEVEL);
    platform_gsi(&dm.platform, 16, true);
    assert_int_equal(ioapic_get(16), 0x36 | LEVEL | 1u << 14);
    assert_int_equal(apic_get(0, TMR + 0x10), 1u << (0x36 - 32));
    end(0, 0x36);
    end(0, 0x36);
    platform_gsi(&dm.platform, 16, false);
    end(0, 0x36);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    assert_int_equal(ioapic_get(16), 0x36 | LEVEL);
    ioapic_set(16, 0x36 | LEVEL | MASKED);
    platform_gsi(&dm.platform, 16, true);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    ioapic_set(16, 0x36 | LEVEL); /* a level is not lost while masked */
    end(0, 0x36);
}

static void the_eoi_register_ends_as_well(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(16, 0x36 | LEVEL);
    platform_gsi(&dm.platform, 16, true);
    lapic_take(&dm.lapic[0], 0x36);
    write32(IOAPIC_BASE + 0x40, 0x36);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1); /* the same is in service */
    assert_int_equal(apic_get(0, IRR + 0x10), 1u << (0x36 - 32));
}

static void ioapic_registers(void **state)
{
    (void)state;
    write32(IOAPIC_BASE, 1);
    assert_int_equal(read32(IOAPIC_BASE + 0x10), 0x00170020);
    write32(IOAPIC_BASE, 0);
    write32(IOAPIC_BASE + 0x10, 0xFFFFFFFF);
    assert_int_equal(read32(IOAPIC_BASE + 0x10), 0x0F000000);
    ioapic_set(0, UINT64_MAX);
    assert_int_equal(ioapic_get(0), 0xFF0000000001AFFF);
    write32(IOAPIC_BASE, 0x10 + 2 * IOAPIC_PINS); /* past the last */
    write32(IOAPIC_BASE + 0x10, 1);
    assert_int_equal(read32(IOAPIC_BASE + 0x10), 0);
    platform_gsi(&dm.platform, IOAPIC_PINS, true);
}

static void destinations(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(5, 0x35 | 0xFFull << 56); /* all */
    platform_gsi(&dm.platform, 5, true);
    end(0, 0x35);
    end(1, 0x35);
    apic_set(0, LDR, 1u << 24);
    apic_set(1, LDR, 2u << 24);
    platform_deliver(&dm.platform, 2, true, LAPIC_FIXED, 0x40, false);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    end(1, 0x40);
    platform_deliver(&dm.platform, 3, true, LAPIC_FIXED, 0x40, false);
    end(0, 0x40);
    end(1, 0x40);
    /* Cluster model: cluster in the high nibble. */
    for (unsigned i = 0; i < VCPUS; i++) apic_set(i, DFR, 0);
    apic_set(0, LDR, 0x11u << 24);
    apic_set(1, LDR, 0x21u << 24);
    platform_deliver(&dm.platform, 0x21, true, LAPIC_FIXED, 0x40, false);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    end(1, 0x40);
}

static void ipis(void **state)
{
    (void)state;
    apics_on();
    apic_set(0, ICR_HIGH, 1u << 24);
    apic_set(0, ICR, 0x4040);
    end(1, 0x40);
    assert_int_equal(apic_get(0, ICR_HIGH), 1u << 24);
    assert_int_equal(apic_get(0, ICR), 0x4040);
    apic_set(0, ICR, 0x44041); /* self */
    end(0, 0x41);
    apic_set(0, ICR, 0x84042); /* all */
    end(0, 0x42);
    end(1, 0x42);
    apic_set(0, ICR, 0xC4043); /* all others */
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    end(1, 0x43);
    apic_set(0, ICR, 0xC4400);
    assert_int_equal(dm.nmis[1], 1);
    assert_int_equal(dm.nmis[0], 0);
    apic_set(0, ICR, 0x4500);
    assert_int_equal(dm.inits[1], 1);
    apic_set(0, ICR, 0x8500); /* INIT level de-assert: nothing */
    assert_int_equal(dm.inits[1], 1);
    apic_set(0, ICR, 0x4609);
    assert_int_equal(dm.sipis[1], 1);
    assert_int_equal(dm.sipi_vector, 9);
    assert_int_equal(dm.sipis[0], 0);
}

static void errors(void **state)
{
    (void)state;
    apics_on();
    apic_set(0, LVT_ERR, 0xFE);
    apic_set(0, ICR, 0x44005); /* vectors below 16 */
    assert_int_equal(apic_get(0, ESR), 0);
    apic_set(0, ESR, 0);
    assert_int_equal(apic_get(0, ESR), 0x20);
    end(0, 0xFE);
    lapic_accept(&dm.lapic[0], 3, false);
    (void)apic_get(0, 0x40); /* no such register */
    apic_set(0, ESR, 0);
    assert_int_equal(apic_get(0, ESR), 0xC0);
    apic_set(0, ESR, 0);
    assert_int_equal(apic_get(0, ESR), 0);
    apic_set(0, LVT_ERR, 0x05); /* its own vector is illegal: no endless errors */
    lapic_accept(&dm.lapic[0], 3, false);
}

static bool x2_write(uint32_t offset, uint64_t value)
{
    return lapic_write(&dm.lapic[1], offset, true, value, dm.now_ns);
}

static void modes_change_as_the_manual_draws_them(void **state)
{
    (void)state;
    struct lapic *l = &dm.lapic[1];
    const uint64_t xapic = LAPIC_BASE | LAPIC_BASE_ENABLE, x2apic = xapic | LAPIC_BASE_X2APIC;
    uint64_t value;
    assert_false(lapic_write_base(l, LAPIC_BASE | LAPIC_BASE_X2APIC));
    assert_false(lapic_write_base(l, xapic | 1));
    assert_false(lapic_write_base(l, xapic + PAGE_BYTES));
    assert_true(lapic_write_base(l, x2apic));
    assert_false(lapic_write_base(l, xapic));
    assert_false(platform_mmio_read(&dm.platform, 1, LAPIC_BASE + ID, 4, &value, 0));
    assert_int_equal(value, 0xFFFFFFFF);
    assert_true(lapic_write_base(l, LAPIC_BASE));
    assert_false(lapic_write_base(l, x2apic));
    assert_false(lapic_read(l, ID, true, &value, 0));
    assert_true(lapic_write_base(l, xapic));
}

static void x2apic_registers(void **state)
{
    (void)state;
    struct lapic *l = &dm.lapic[1];
    uint64_t value;
    assert_true(lapic_write_base(l, LAPIC_BASE | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC));
    assert_true(lapic_read(l, ID, true, &value, 0));
    assert_int_equal(value, 1);
    assert_true(lapic_read(l, LDR, true, &value, 0));
    assert_int_equal(value, 2);
    assert_true(x2_write(SVR, 0x1FF));
    assert_true(x2_write(0x3F0, 0x55)); /* self-IPI */
    assert_int_equal(lapic_pending(l), 0x55);
    lapic_take(l, 0x55);
    assert_true(x2_write(EOI, 0));
    assert_true(x2_write(ICR, 1ull << 32 | 0x4056));
    assert_int_equal(lapic_pending(l), 0x56);
    assert_true(lapic_read(l, ICR, true, &value, 0));
    assert_int_equal(value, 1ull << 32 | 0x4056);
    platform_deliver(&dm.platform, 2, true, LAPIC_FIXED, 0x57, false);
    assert_int_equal(lapic_pending(l), 0x57);

    const struct {
        uint32_t offset;
        uint64_t value;
    } refused[] = {{ID, 0},
                   {VERSION, 0},
                   {EOI, 1},
                   {ESR, 1},
                   {TPR, 0x100},
                   {SVR, 0x200},
                   {LDR, 0},
                   {DFR, 0},
                   {ICR_HIGH, 0},
                   {ICR, 1u << 20},
                   {ISR, 0},
                   {IRR, 0},
                   {0x380, 1ull << 32},
                   {0x390, 0},
                   {0x3E0, 0x10},
                   {LVT_FIRST, 1u << 19},
                   {0x3F0, 0x100},
                   {0x2F0, 0},
                   {0x40, 0},
                   {0xFF0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        if (x2_write(refused[i].offset, refused[i].value))
            fail_msg("offset %x was written", refused[i].offset);
    }
    assert_false(lapic_read(l, EOI, true, &value, 0));
    assert_false(lapic_read(l, DFR, true, &value, 0));
    assert_false(lapic_read(l, 0x40, true, &value, 0));
}

static void init_keeps_the_mode(void **state)
{
    (void)state;
    struct lapic *l = &dm.lapic[1];
    assert_true(lapic_write_base(l, LAPIC_BASE | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC));
    assert_true(x2_write(TPR, 0x50));
    lapic_reset(l);
    assert_int_equal(l->tpr, 0);
    assert_int_equal(l->base_msr, LAPIC_BASE | LAPIC_BASE_ENABLE | LAPIC_BASE_X2APIC);
}

static void narrow_reads_get_their_part(void **state)
{
    (void)state;
    uint64_t value;
    assert_true(platform_mmio_read(&dm.platform, 0, LAPIC_BASE + VERSION + 2, 1, &value, 0));
    assert_int_equal(value, 0x05);
    assert_true(platform_mmio_read(&dm.platform, 0, LAPIC_BASE + VERSION + 4, 4, &value, 0));
    assert_int_equal(value, 0);
    assert_true(platform_mmio_write(&dm.platform, 0, LAPIC_BASE + TPR, 1, 0x50, 0));
    assert_int_equal(apic_get(0, TPR), 0);
}

const struct CMUnitTest apic_tests[] = {
    TEST(after_power_on),
    TEST(a_disabled_apic_takes_nothing_and_masks_its_own),
    TEST(priorities),
    TEST(edge_interrupts),
    TEST(level_interrupts_come_again_until_the_line_falls),
    TEST(the_eoi_register_ends_as_well),
    TEST(ioapic_registers),
    TEST(destinations),
    TEST(ipis),
    TEST(errors),
    TEST(modes_change_as_the_manual_draws_them),
    TEST(x2apic_registers),
    TEST(init_keeps_the_mode),
    TEST(narrow_reads_get_their_part),
};
const size_t apic_test_count = ARRAY_LEN(apic_tests);
