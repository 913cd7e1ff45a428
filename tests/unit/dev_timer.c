/* SPDX-License-Identifier: MIT
 *
 * The LAPIC's timer and the 8254.
 */
#include "dev_machine.h"

enum { LVT = 0x320, INITIAL = 0x380, COUNT = 0x390, DIVIDE = 0x3E0 };

#define PERIODIC (1u << 17)
#define DEADLINE (2u << 17)
#define MASKED   (1u << 16)
#define VECTOR   0x40
#define START_NS 1000u

static struct lapic *l;

static void apic_timer(uint32_t lvt, uint32_t divide, uint32_t initial)
{
    l = &dm.lapic[0];
    apics_on();
    apic_set(0, DIVIDE, divide);
    apic_set(0, LVT, lvt);
    apic_set(0, INITIAL, initial);
}

/* Polls at a time; did the timer interrupt? */
static bool fires(uint64_t now_ns)
{
    dm.now_ns = now_ns;
    lapic_poll(l, now_ns);
    if (lapic_pending(l) != VECTOR) return false;
    lapic_take(l, VECTOR);
    apic_set(0, 0xB0, 0);
    return true;
}

static void one_shot(void **state)
{
    (void)state;
    apic_timer(VECTOR, 0xB, 500);
    assert_int_equal(l->timer_deadline_ns, START_NS + 500);
    assert_false(fires(START_NS + 499));
    assert_int_equal(apic_get(0, COUNT), 1);
    assert_true(fires(START_NS + 500));
    assert_int_equal(apic_get(0, COUNT), 0);
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE);
    assert_false(fires(START_NS + 5000));
    apic_set(0, INITIAL, 0);
    assert_false(fires(START_NS + 50000));
}

static void divisors(void **state)
{
    (void)state;
    static const struct {
        uint8_t code, divisor;
    } all[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        dev_machine_reset();
        apic_timer(VECTOR, all[i].code, 100);
        assert_int_equal(l->timer_deadline_ns, START_NS + 100u * all[i].divisor);
    }
}

static void a_clock_that_is_a_little_behind_does_no_harm(void **state)
{
    (void)state;
    static const uint32_t modes[] = {0, PERIODIC};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        dev_machine_reset();
        apic_timer(VECTOR | modes[i], 0xB, 100000);
        dm.now_ns = START_NS - 10;
        assert_int_equal(apic_get(0, COUNT), 100000);
        apic_set(0, LVT, VECTOR | modes[i] | MASKED);
        apic_set(0, LVT, VECTOR | modes[i]);
        assert_int_equal(l->timer_deadline_ns, START_NS + 100000);
    }
    out8(0x43, 0x34);
    out8(0x40, 0);
    out8(0x40, 0x10);
    dm.now_ns -= 10;
    out8(0x43, 0);
    assert_int_equal(in8(0x40) | in8(0x40) << 8, 0x1000);
}

static void changing_the_divisor_keeps_the_count(void **state)
{
    (void)state;
    apic_timer(VECTOR, 0xB, 1000);
    dm.now_ns = START_NS + 400;
    apic_set(0, DIVIDE, 0);
    assert_int_equal(apic_get(0, COUNT), 600);
    assert_int_equal(l->timer_deadline_ns, START_NS + 400 + 1200);
}

static void periodic(void **state)
{
    (void)state;
    apic_timer(VECTOR | PERIODIC, 0xB, 1000000);
    assert_true(fires(START_NS + 1000000));
    assert_int_equal(apic_get(0, COUNT), 1000000);
    assert_false(fires(START_NS + 1999999));
    assert_int_equal(apic_get(0, COUNT), 1);
    assert_true(fires(START_NS + 2000007)); /* late, but the next is on time */
    assert_int_equal(l->timer_deadline_ns, START_NS + 3000000);
    assert_true(fires(START_NS + 9500000)); /* many missed: one interrupt */
    assert_int_equal(l->timer_deadline_ns, START_NS + 10000000);
}

static void short_periods_do_not_flood(void **state)
{
    (void)state;
    apic_timer(VECTOR | PERIODIC, 0xB, 1);
    assert_int_equal(l->timer_deadline_ns, START_NS + 50000);
    assert_true(fires(START_NS + 50000));
    assert_int_equal(l->timer_deadline_ns, START_NS + 100000);
}

static void a_masked_timer_counts_but_is_silent(void **state)
{
    (void)state;
    apic_timer(VECTOR | MASKED, 0xB, 500);
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE);
    dm.now_ns = START_NS + 200;
    assert_int_equal(apic_get(0, COUNT), 300);
    apic_set(0, LVT, VECTOR);
    assert_int_equal(l->timer_deadline_ns, START_NS + 500);
    apic_set(0, LVT, VECTOR | MASKED);
    dm.now_ns = START_NS + 600;
    apic_set(0, LVT, VECTOR); /* too late: it ended while masked */
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE);
}

static void tsc_deadline(void **state)
{
    (void)state;
    apic_timer(VECTOR, 0xB, 500);
    lapic_write_tsc_deadline(l, 77, 5000); /* not in this mode */
    assert_int_equal(l->tsc_deadline, 0);
    apic_set(0, LVT, VECTOR | DEADLINE);
    assert_int_equal(l->timer_deadline_ns, NO_DEADLINE); /* the change disarms */
    apic_set(0, INITIAL, 100);
    assert_int_equal(apic_get(0, COUNT), 0);
    lapic_write_tsc_deadline(l, 77, 5000);
    assert_int_equal(l->tsc_deadline, 77);
    assert_false(fires(4999));
    assert_true(fires(5000));
    assert_int_equal(l->tsc_deadline, 0);
    assert_false(fires(6000));
    lapic_write_tsc_deadline(l, 88, 7000);
    lapic_write_tsc_deadline(l, 0, 7000);
    assert_false(fires(8000));
    lapic_write_tsc_deadline(l, 88, 9000);
    apic_set(0, LVT, VECTOR);
    assert_false(fires(10000));
}

/* ---- 8254 ---- */

#define TICKS_NS(ticks) ((ticks)*1000000000ull / PIT_HZ)

static void load_counter(uint16_t port, uint8_t control, uint16_t count)
{
    out8(0x43, control);
    out8(port, (uint8_t)count);
    out8(port, (uint8_t)(count >> 8));
}

static bool timer_pin(uint64_t now_ns)
{
    const unsigned before = dm.kicks[0];
    dm.now_ns = now_ns;
    platform_poll(&dm.platform, now_ns);
    return dm.kicks[0] != before;
}

static void channel_0_ticks_on_gsi_2(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(2, VECTOR);
    load_counter(0x40, 0x34, 11932); /* 100 Hz */
    assert_in_range(platform_poll(&dm.platform, dm.now_ns), START_NS + 9999000, START_NS + 10001000);
    assert_false(timer_pin(START_NS + 9990000));
    assert_true(timer_pin(START_NS + 10001000));
    assert_int_equal(lapic_pending(&dm.lapic[0]), VECTOR);
    assert_false(timer_pin(START_NS + 19990000));
    assert_true(timer_pin(START_NS + 20001000));
    assert_true(timer_pin(START_NS + 95000000));
    assert_in_range(platform_poll(&dm.platform, dm.now_ns), START_NS + 99999000, START_NS + 100005000);
}

static void channel_0_once(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(2, VECTOR);
    load_counter(0x40, 0x30, 1000);
    assert_true(timer_pin(START_NS + TICKS_NS(1001)));
    assert_int_equal(platform_poll(&dm.platform, dm.now_ns), NO_DEADLINE);
    assert_false(timer_pin(START_NS + 100000000));
}

static void channel_0_also_ticks_the_8259(void **state)
{
    (void)state;
    out8(0x21, 0xFE);
    load_counter(0x40, 0x36, 1193);
    dm.now_ns += 2000000;
    platform_poll(&dm.platform, dm.now_ns);
    assert_int_equal(platform_pic_pending(&dm.platform), 8);
}

static void a_kernel_calibrates_against_channel_2(void **state)
{
    (void)state;
    out8(0x61, 0x01);
    load_counter(0x42, 0xB0, 11932);
    assert_int_equal(in8(0x61) & 0x20, 0);
    dm.now_ns += 9990000;
    assert_int_equal(in8(0x61) & 0x20, 0);
    dm.now_ns += 11000;
    assert_int_equal(in8(0x61) & 0x20, 0x20);
}

static void a_closed_gate_stops_the_count(void **state)
{
    (void)state;
    load_counter(0x42, 0xB0, 1000);
    dm.now_ns += 5000000;
    assert_int_equal(in8(0x61) & 0x21, 0);
    out8(0x61, 1);
    dm.now_ns += TICKS_NS(600) + 1;
    out8(0x61, 0);
    dm.now_ns += 5000000;
    out8(0x61, 1);
    dm.now_ns += TICKS_NS(390);
    assert_int_equal(in8(0x61) & 0x21, 1);
    dm.now_ns += TICKS_NS(12);
    assert_int_equal(in8(0x61) & 0x21, 0x21);
}

static void one_shots_by_the_gate(void **state)
{
    (void)state;
    load_counter(0x42, 0xB2, 1000); /* mode 1 */
    assert_int_equal(in8(0x61) & 0x20, 0x20);
    out8(0x61, 1);
    assert_int_equal(in8(0x61) & 0x20, 0);
    dm.now_ns += TICKS_NS(500);
    out8(0x61, 0); /* does not stop it */
    dm.now_ns += TICKS_NS(502);
    assert_int_equal(in8(0x61) & 0x20, 0x20);
}

static uint32_t counter(uint16_t port)
{
    const uint32_t low = in8(port);
    return low | in8(port) << 8;
}

static void counts_are_read_back(void **state)
{
    (void)state;
    load_counter(0x40, 0x34, 1000);
    dm.now_ns += TICKS_NS(100) + 1;
    out8(0x43, 0x00); /* latch */
    dm.now_ns += TICKS_NS(100);
    out8(0x43, 0x00); /* holds the first */
    assert_int_equal(counter(0x40), 900);
    assert_in_range(counter(0x40), 799, 801);
    out8(0x43, 0xC2); /* read-back: status and count of channel 0 */
    assert_int_equal(in8(0x40), 0xB4);
    assert_in_range(counter(0x40), 799, 801);
    load_counter(0x40, 0x35, 0x1000); /* BCD */
    dm.now_ns += TICKS_NS(1) + 2;
    assert_int_equal(counter(0x40), 0x0999);
    out8(0x43, 0x10); /* low byte only */
    out8(0x40, 200);
    assert_int_equal(in8(0x40), 200);
    assert_int_equal(in8(0x40), 200);
    load_counter(0x40, 0x36, 0); /* 65536, square wave */
    out8(0x43, 0xE2);
    assert_int_equal(in8(0x40), 0xB6);
    dm.now_ns += TICKS_NS(40000);
    out8(0x43, 0xE2);
    assert_int_equal(in8(0x40), 0x36);
    assert_int_equal(in8(0x43), 0xFF);
}

static void the_refresh_bit_toggles(void **state)
{
    (void)state;
    const uint32_t before = in8(0x61) & 0x10;
    dm.now_ns += 15085;
    assert_int_not_equal(in8(0x61) & 0x10, before);
}

const struct CMUnitTest timer_tests[] = {
    TEST(one_shot),
    TEST(divisors),
    TEST(a_clock_that_is_a_little_behind_does_no_harm),
    TEST(changing_the_divisor_keeps_the_count),
    TEST(periodic),
    TEST(short_periods_do_not_flood),
    TEST(a_masked_timer_counts_but_is_silent),
    TEST(tsc_deadline),
    TEST(channel_0_ticks_on_gsi_2),
    TEST(channel_0_once),
    TEST(channel_0_also_ticks_the_8259),
    TEST(a_kernel_calibrates_against_channel_2),
    TEST(a_closed_gate_stops_the_count),
    TEST(one_shots_by_the_gate),
    TEST(counts_are_read_back),
    TEST(the_refresh_bit_toggles),
};
const size_t timer_test_count = ARRAY_LEN(timer_tests);
