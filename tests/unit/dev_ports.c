/* SPDX-License-Identifier: MIT
 *
 * Small devices, and which port and which address is whose.
 */
#include "dev_machine.h"

#include "tithe/abi.h"

#define SECOND_NS 1000000000ull

static uint32_t clock_register(uint8_t index)
{
    out8(0x70, index);
    return in8(0x71);
}

static void assert_clock(uint64_t seconds, uint32_t year, uint32_t month, uint32_t day, uint32_t weekday)
{
    dm.wall_ns = seconds * SECOND_NS;
    assert_int_equal(clock_register(0x32), year >> 8);
    assert_int_equal(clock_register(9), year & 0xFF);
    assert_int_equal(clock_register(8), month);
    assert_int_equal(clock_register(7), day);
    assert_int_equal(clock_register(6), weekday);
}

static void the_clock_shows_the_wall_time(void **state)
{
    (void)state;
    assert_clock(0, 0x1970, 1, 1, 5);
    assert_clock(951782400, 0x2000, 2, 0x29, 3);
    assert_clock(951868800, 0x2000, 3, 1, 4);
    assert_clock(1767225599, 0x2025, 0x12, 0x31, 4);
    assert_clock(1767225600, 0x2026, 1, 1, 5);
    assert_clock(4107542400, 0x2100, 3, 1, 2); /* 2100 has no 29 February */
    dm.wall_ns = (1767225600 + 13 * 3600 + 5 * 60 + 9) * SECOND_NS;
    assert_int_equal(clock_register(4), 0x13);
    assert_int_equal(clock_register(2), 0x05);
    assert_int_equal(clock_register(0x80), 0x09); /* bit 7: NMI mask */
    clock_register(11);
    out8(0x71, 0x74); /* binary, 12 hours; interrupts are not to be had */
    assert_int_equal(clock_register(11), 0x04);
    assert_int_equal(clock_register(4), 0x81);
    dm.wall_ns = 0;
    assert_int_equal(clock_register(4), 12);
}

static void every_day_of_four_centuries_follows_the_last(void **state)
{
    (void)state;
    static const uint32_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint32_t day = 1, month = 1, year = 1970;
    clock_register(11);
    out8(0x71, 0x06);
    for (uint64_t days = 0; days < 146097; days++) {
        dm.wall_ns = days * 86400 * SECOND_NS;
        assert_int_equal(clock_register(7), day);
        assert_int_equal(clock_register(8), month);
        assert_int_equal(clock_register(0x32) * 100 + clock_register(9), year);
        const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        if (++day > lengths[month - 1] + (month == 2 && leap)) {
            day = 1;
            if (++month > 12) {
                month = 1;
                year++;
            }
        }
    }
}

static void the_clock_announces_updates(void **state)
{
    (void)state;
    dm.wall_ns = SECOND_NS - 244001;
    assert_int_equal(clock_register(10), 0x26);
    dm.wall_ns = SECOND_NS - 244000;
    assert_int_equal(clock_register(10), 0xA6);
    assert_int_equal(clock_register(12), 0);
    assert_int_equal(clock_register(13), 0x80);
}

static void cmos_memory_remembers_and_the_time_cannot_be_set(void **state)
{
    (void)state;
    clock_register(0x0F);
    out8(0x71, 0x5A);
    assert_int_equal(clock_register(0x0F), 0x5A);
    clock_register(0);
    out8(0x71, 0x30);
    assert_int_equal(clock_register(0), 0);
    assert_int_equal(in8(0x70), 0xFF);
}

static void the_keyboard_controller_resets(void **state)
{
    (void)state;
    assert_int_equal(in8(0x64) & 0x03, 0);
    out8(0x64, 0xFE);
    assert_int_equal(dm.reboots, 1);
    out8(0x64, 0xFF); /* pulses nothing */
    assert_int_equal(dm.reboots, 1);
    out8(0x64, 0xD1);
    out8(0x60, 0xDF); /* A20 on */
    assert_int_equal(dm.reboots, 1);
    out8(0x64, 0xD1);
    out8(0x60, 0x00);
    assert_int_equal(dm.reboots, 2);
}

static void the_keyboard_controller_answers(void **state)
{
    (void)state;
    static const struct {
        uint8_t command, answer;
    } all[] = {{0xAA, 0x55}, {0xAB, 0x00}, {0xD0, 0x03}, {0x20, 0x04}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        out8(0x64, all[i].command);
        assert_int_equal(in8(0x64) & 1, 1);
        assert_int_equal(in8(0x60), all[i].answer);
        assert_int_equal(in8(0x64) & 1, 0);
    }
    out8(0x64, 0x60);
    out8(0x60, 0x47);
    out8(0x64, 0x20);
    assert_int_equal(in8(0x60), 0x47);
    out8(0x60, 0xFF); /* the keyboard: acknowledged, passed */
    assert_int_equal(in8(0x60), 0xFA);
    assert_int_equal(in8(0x60), 0xAA);
    assert_int_equal(in8(0x60), 0);
    for (unsigned i = 0; i < 100; i++) out8(0x60, 0xF4); /* nobody reads */
    assert_int_equal(in8(0x60), 0xFA);
    out8(0x64, 0xAD);
}

static void ways_to_end(void **state)
{
    (void)state;
    out8(0x600, 0x34);
    assert_int_equal(dm.stops, 1);
    assert_int_equal(dm.stop_why, TITHE_STOP_POWEROFF);
    out8(0x600, 0x14); /* S5 without the enable bit */
    out8(0x600, 0x30); /* another state */
    assert_int_equal(dm.stops, 1);
    assert_int_equal(in8(0x600), 0x10);
    assert_int_equal(in8(0x601), 0);
    out8(0x602, 1);
    assert_int_equal(dm.reboots, 1);
    out8(0x602, 2);
    out8(0x601, 0x80);
    assert_int_equal(dm.reboots, 1);
    out8(0x92, 2);
    assert_int_equal(dm.reboots, 1);
    out8(0x92, 1);
    assert_int_equal(dm.reboots, 2);
    out8(0xCF9, 0x02);
    assert_int_equal(dm.reboots, 2);
    out8(0xCF9, 0x06);
    assert_int_equal(dm.reboots, 3);
    platform_out(&dm.platform, 0xF4, 4, 0x12345678, 0);
    assert_int_equal(dm.stop_why, TITHE_STOP_EXIT);
    assert_int_equal(dm.stop_code, 0x12345678);
    platform_out(&dm.platform, 0xF4, 1, 0x12345678, 0);
    assert_int_equal(dm.stop_code, 0x78);
    platform_out(&dm.platform, 0xF4, 2, 0x12345678, 0);
    assert_int_equal(dm.stop_code, 0x5678);
}

static void there_is_no_pci_and_nothing_elsewhere(void **state)
{
    (void)state;
    /* What Linux tries (arch/x86/pci/direct.c), in words: both mechanisms' registers do not read back. */
    out8(0xCFB, 0x01);
    platform_out(&dm.platform, 0xCF8, 4, 0x80000000, 0);
    assert_int_equal(platform_in(&dm.platform, 0xCF8, 4, 0), 0xFFFFFFFF);
    assert_int_equal(platform_in(&dm.platform, 0xCFC, 2, 0), 0xFFFF);
    platform_out(&dm.platform, 0xCF8, 4, 0xFFFFFFFF, 0); /* not a reset */
    assert_int_equal(dm.reboots, 0);
    for (uint32_t port = 0; port <= 0xFFFF; port++) {
        const bool ours = port < 0x100 || (port >= 0x3F8 && port < 0x400) || port == 0x4D0 || port == 0x4D1 ||
                          (port >= 0x600 && port <= 0x602);
        if (!ours && in8((uint16_t)port) != 0xFF) fail_msg("port 0x%x answers", port);
    }
    assert_int_equal(platform_in(&dm.platform, 0x1F0, 4, 0), 0xFFFFFFFF);
    assert_int_equal(platform_in(&dm.platform, 0xFFFF, 4, 0) >> 8 & 0xFF, 0xFF);
    assert_int_equal(in8(0x92), 0x02);
}

static void wide_accesses_are_bytes_in_a_row(void **state)
{
    (void)state;
    platform_out(&dm.platform, 0x20, 2, 0x5511, 0); /* ICW1, ICW2 */
    platform_out(&dm.platform, UART_PORT + 6, 2, 0xA500, 0);
    assert_int_equal(platform_in(&dm.platform, UART_PORT + 6, 2, 0), 0xA5B0);
    out8(0x21, 4);
    out8(0x21, 1);
    out8(0x21, 0);
    platform_gsi(&dm.platform, 3, true);
    assert_int_equal(platform_pic_pending(&dm.platform), 0x53);
}

static void addresses_of_nobody(void **state)
{
    (void)state;
    uint64_t value = 0;
    assert_false(platform_mmio_read(&dm.platform, 0, 0xE0000000, 8, &value, 0));
    assert_int_equal(value, UINT64_MAX);
    assert_false(platform_mmio_read(&dm.platform, 0, 0xE0000000, 2, &value, 0));
    assert_int_equal(value, 0xFFFF);
    assert_false(platform_mmio_write(&dm.platform, 0, 0xE0000000, 4, 1, 0));
    assert_false(platform_mmio_read(&dm.platform, VCPUS, LAPIC_BASE, 4, &value, 0));
    assert_false(platform_mmio_write(&dm.platform, VCPUS, LAPIC_BASE, 4, 1, 0));
    assert_false(platform_mmio_read(&dm.platform, 0, UINT64_MAX - 7, 8, &value, 0));
}

const struct CMUnitTest ports_tests[] = {
    TEST(the_clock_shows_the_wall_time),
    TEST(every_day_of_four_centuries_follows_the_last),
    TEST(the_clock_announces_updates),
    TEST(cmos_memory_remembers_and_the_time_cannot_be_set),
    TEST(the_keyboard_controller_resets),
    TEST(the_keyboard_controller_answers),
    TEST(ways_to_end),
    TEST(there_is_no_pci_and_nothing_elsewhere),
    TEST(wide_accesses_are_bytes_in_a_row),
    TEST(addresses_of_nobody),
};
const size_t ports_test_count = ARRAY_LEN(ports_tests);
