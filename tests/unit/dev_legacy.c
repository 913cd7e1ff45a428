/* SPDX-License-Identifier: MIT
 *
 * The 8259 pair.
 */
#include "dev_machine.h"

static struct platform *p = &dm.platform;

/* As every PC kernel does: vectors 0x20 and 0x28, everything unmasked. */
static void init(uint8_t icw4)
{
    out8(0x20, 0x11);
    out8(0xA0, 0x11);
    out8(0x21, 0x20);
    out8(0xA1, 0x28);
    out8(0x21, 0x04);
    out8(0xA1, 0x02);
    out8(0x21, icw4);
    out8(0xA1, icw4);
    out8(0x21, 0);
    out8(0xA1, 0);
}

static void pulse(uint32_t irq)
{
    platform_gsi(p, irq, true);
    platform_gsi(p, irq, false);
}

static void take(int vector)
{
    assert_int_equal(platform_pic_pending(p), vector);
    assert_int_equal(platform_pic_take(p), vector);
}

static void it_starts_masked(void **state)
{
    (void)state;
    pulse(4);
    assert_int_equal(platform_pic_pending(p), -1);
    assert_int_equal(in8(0x21), 0xFF);
    assert_int_equal(in8(0xA1), 0xFF);
}

static void priorities_and_ends(void **state)
{
    (void)state;
    init(1);
    pulse(4);
    pulse(3);
    assert_int_equal(dm.kicks[0], 2);
    take(0x23);
    assert_int_equal(platform_pic_pending(p), -1);
    pulse(1); /* higher: nests */
    take(0x21);
    out8(0x20, 0x0B);
    assert_int_equal(in8(0x20), 0x0A); /* in service: 1 and 3 */
    out8(0x20, 0x0A);
    assert_int_equal(in8(0x20), 0x10); /* requested: 4 */
    out8(0x20, 0x20);
    assert_int_equal(platform_pic_pending(p), -1);
    out8(0x20, 0x63); /* specific end of 3 */
    take(0x24);
}

static void the_slave_comes_by_input_2(void **state)
{
    (void)state;
    init(1);
    pulse(12);
    pulse(8);
    take(0x28);
    out8(0x20, 0x0B);
    assert_int_equal(in8(0x20), 0x04);
    out8(0xA0, 0x20);
    assert_int_equal(platform_pic_pending(p), -1); /* the master still serves input 2 */
    out8(0x20, 0x20);
    take(0x2C);
    out8(0xA0, 0x20);
    out8(0x20, 0x20);
    out8(0x21, 0x04); /* cascade masked */
    pulse(9);
    assert_int_equal(platform_pic_pending(p), -1);
}

static void masking_holds_back_but_remembers(void **state)
{
    (void)state;
    init(1);
    out8(0x21, 0x10);
    pulse(4);
    assert_int_equal(platform_pic_pending(p), -1);
    out8(0x21, 0);
    take(0x24);
}

static void an_edge_counts_once_a_level_while_it_lasts(void **state)
{
    (void)state;
    init(3); /* automatic end */
    platform_gsi(p, 5, true);
    take(0x25);
    assert_int_equal(platform_pic_pending(p), -1);
    platform_gsi(p, 5, false);
    out8(0x4D0, 0xFF);
    out8(0x4D1, 0xFF);
    assert_int_equal(in8(0x4D0), 0xF8);
    assert_int_equal(in8(0x4D1), 0xDE);
    platform_gsi(p, 5, true);
    take(0x25);
    take(0x25);
    platform_gsi(p, 5, false);
    assert_int_equal(platform_pic_pending(p), -1);
    assert_int_equal(platform_pic_take(p), 0x27); /* spurious */
}

static void rotation(void **state)
{
    (void)state;
    init(1);
    pulse(1);
    take(0x21);
    out8(0x20, 0xA0); /* end, 1 becomes the lowest */
    pulse(1);
    pulse(0);
    pulse(3);
    take(0x23);
    out8(0x20, 0x20);
    take(0x20);
    out8(0x20, 0x20);
    out8(0x20, 0xC7); /* 7 the lowest: as at first */
    take(0x21);
    out8(0x20, 0xE1); /* specific end of 1, which becomes the lowest */
    pulse(1);
    pulse(2 + 5);
    take(0x27);
    init(3);
    out8(0x20, 0x80); /* rotate with automatic ends */
    pulse(3);
    take(0x23);
    pulse(3);
    pulse(4);
    take(0x24);
    out8(0x20, 0x00);
}

static void special_mask(void **state)
{
    (void)state;
    init(1);
    pulse(3);
    take(0x23);
    pulse(6);
    assert_int_equal(platform_pic_pending(p), -1);
    out8(0x20, 0x68);
    out8(0x21, 0x08);
    take(0x26);
    out8(0x20, 0x48);
}

static void polling(void **state)
{
    (void)state;
    init(1);
    out8(0x20, 0x0C);
    assert_int_equal(in8(0x20), 0);
    pulse(6);
    out8(0x20, 0x0C);
    assert_int_equal(in8(0x20), 0x86);
    assert_int_equal(platform_pic_pending(p), -1);
}

static void a_single_chip_without_icw4(void **state)
{
    (void)state;
    out8(0x20, 0x12);
    out8(0x21, 0x40);
    out8(0x21, 0xFE); /* ready: this is the mask */
    assert_int_equal(in8(0x21), 0xFE);
    platform_gsi(p, GSI_TIMER, true);
    take(0x40);
}

static void the_lapic_lets_it_through_or_not(void **state)
{
    (void)state;
    init(1);
    pulse(4);
    assert_int_equal(platform_pic_pending(p), 0x24); /* virtual wire */
    apics_on();
    apic_set(0, 0x350, 0x10700);
    assert_int_equal(platform_pic_pending(p), -1);
    apic_set(0, 0x350, 0x00400);
    assert_int_equal(platform_pic_pending(p), -1);
    assert_true(lapic_write_base(&dm.lapic[0], LAPIC_BASE | LAPIC_BASE_BSP));
    assert_int_equal(platform_pic_pending(p), 0x24);
}

const struct CMUnitTest legacy_tests[] = {
    TEST(it_starts_masked),
    TEST(priorities_and_ends),
    TEST(the_slave_comes_by_input_2),
    TEST(masking_holds_back_but_remembers),
    TEST(an_edge_counts_once_a_level_while_it_lasts),
    TEST(rotation),
    TEST(special_mask),
    TEST(polling),
    TEST(a_single_chip_without_icw4),
    TEST(the_lapic_lets_it_through_or_not),
};
const size_t legacy_test_count = ARRAY_LEN(legacy_tests);
