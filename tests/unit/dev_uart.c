/* SPDX-License-Identifier: MIT
 *
 * The 16550: what drivers probe, what the console keeps.
 */
#include "dev_machine.h"

#define PORT(reg) ((uint16_t)(UART_PORT + (reg)))
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCRATCH };

static char lines[4][UART_LINE_BYTES + 1];
static unsigned line_count;

static void line(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    memcpy(lines[line_count % 4], text, bytes);
    lines[line_count++ % 4][bytes] = '\0';
}

static void type(const char *text)
{
    for (; *text != '\0'; text++) out8(PORT(DATA), (uint8_t)*text);
}

static void after_power_on_it_is_idle(void **state)
{
    (void)state;
    assert_int_equal(in8(PORT(LSR)), 0x60);
    assert_int_equal(in8(PORT(IIR)), 0x01);
    assert_int_equal(in8(PORT(IER)), 0);
    assert_int_equal(in8(PORT(MSR)), 0xB0);
}

static void output_goes_to_the_ring_and_lines_to_the_listener(void **state)
{
    (void)state;
    char out[64];
    uint64_t offset = 0;
    line_count = 0;
    dm.platform.uart.line = line;
    type("hello\r\nwor");
    assert_int_equal(line_count, 1);
    assert_string_equal(lines[0], "hello");
    assert_int_equal(uart_console_read(&dm.platform.uart, &offset, out, sizeof out), 10);
    assert_memory_equal(out, "hello\r\nwor", 10);
    type("ld\n");
    assert_string_equal(lines[1], "world");
    offset = 7;
    assert_int_equal(uart_console_read(&dm.platform.uart, &offset, out, 3), 3);
    assert_memory_equal(out, "wor", 3);
    assert_int_equal(uart_console_offset(&dm.platform.uart), 13);
}

static void a_line_without_end_comes_in_pieces(void **state)
{
    (void)state;
    line_count = 0;
    dm.platform.uart.line = line;
    for (unsigned i = 0; i < 2 * UART_LINE_BYTES + 1; i++) type("x");
    assert_int_equal(line_count, 2);
    assert_int_equal(strlen(lines[1]), UART_LINE_BYTES);
}

static void old_output_falls_out_of_the_ring(void **state)
{
    (void)state;
    uint8_t out[4];
    uint64_t offset = 5;
    for (unsigned i = 0; i < UART_RING_BYTES + 100; i++) out8(PORT(DATA), (uint8_t)i);
    assert_int_equal(uart_console_read(&dm.platform.uart, &offset, out, sizeof out), 4);
    assert_int_equal(offset, 100);
    assert_int_equal(out[0], 100);
    offset = UINT64_MAX;
    assert_int_equal(uart_console_read(&dm.platform.uart, &offset, out, sizeof out), 0);
    assert_int_equal(offset, UART_RING_BYTES + 100);
}

static void the_ring_survives_a_reset(void **state)
{
    (void)state;
    uint8_t out[8];
    uint64_t offset = 0;
    type("ab");
    platform_reset(&dm.platform, dm.now_ns);
    type("c");
    assert_int_equal(uart_console_read(&dm.platform.uart, &offset, out, sizeof out), 3);
    assert_memory_equal(out, "abc", 3);
}

static void input_is_taken_as_far_as_it_fits(void **state)
{
    (void)state;
    uint8_t bytes[UART_INPUT_BYTES + 10];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)i;
    assert_int_equal(uart_console_input(&dm.platform.uart, bytes, sizeof bytes), UART_INPUT_BYTES);
    assert_int_equal(in8(PORT(LSR)), 0x61);
    for (size_t i = 0; i < UART_INPUT_BYTES; i++) assert_int_equal(in8(PORT(DATA)), bytes[i]);
    assert_int_equal(in8(PORT(LSR)), 0x60);
    assert_int_equal(in8(PORT(DATA)), 0);
}

/* Linux drivers/tty/serial/8250/8250_port.c, autoconfig() in words: IER keeps four bits, the loop reflects modem
 * lines, the FIFO bits name a 16550A, and there is nothing more modern. */
static void a_driver_finds_a_16550a(void **state)
{
    (void)state;
    out8(PORT(IER), 0xFF);
    assert_int_equal(in8(PORT(IER)), 0x0F);
    out8(PORT(IER), 0);
    out8(PORT(MCR), 0x1A);
    assert_int_equal(in8(PORT(MSR)) & 0xF0, 0x90);
    out8(PORT(MCR), 0xFF);
    assert_int_equal(in8(PORT(MCR)), 0x1F);
    out8(PORT(MCR), 0);
    out8(PORT(IIR), 0x01);
    assert_int_equal(in8(PORT(IIR)) & 0xC0, 0xC0);
    out8(PORT(LCR), 0x80);
    out8(PORT(IIR), 0x21); /* 64-byte FIFO of a 16750 */
    assert_int_equal(in8(PORT(IIR)) & 0x20, 0);
    out8(PORT(LCR), 0);
    out8(PORT(IIR), 0);
    assert_int_equal(in8(PORT(IIR)) & 0xC0, 0);
    out8(PORT(SCRATCH), 0xA5);
    assert_int_equal(in8(PORT(SCRATCH)), 0xA5);
}

static void the_divisor_hides_data_and_ier(void **state)
{
    (void)state;
    uint64_t offset = 0;
    char out[2];
    out8(PORT(LCR), 0x83);
    out8(PORT(DATA), 0x0C);
    out8(PORT(IER), 0x01);
    assert_int_equal(in8(PORT(DATA)), 0x0C);
    assert_int_equal(in8(PORT(IER)), 0x01);
    out8(PORT(LCR), 0x03);
    assert_int_equal(in8(PORT(IER)), 0);
    assert_int_equal(uart_console_read(&dm.platform.uart, &offset, out, 2), 0);
}

static void the_loop_returns_what_is_sent(void **state)
{
    (void)state;
    out8(PORT(MCR), 0x10);
    type("z");
    assert_int_equal(in8(PORT(DATA)), 'z');
    assert_int_equal(uart_console_offset(&dm.platform.uart), 0);
    for (unsigned i = 0; i <= UART_INPUT_BYTES; i++) type("y");
    assert_int_equal(in8(PORT(LSR)) & 0x02, 0x02);
    assert_int_equal(in8(PORT(LSR)) & 0x02, 0);
}

static void the_transmitter_interrupts_when_asked_and_is_quieted_by_reading(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(GSI_UART, 0x41);
    out8(PORT(IER), 0x02);
    assert_int_equal(lapic_pending(&dm.lapic[0]), 0x41);
    assert_int_equal(in8(PORT(IIR)), 0x02);
    assert_int_equal(in8(PORT(IIR)), 0x01);
    lapic_take(&dm.lapic[0], 0x41);
    apic_set(0, 0xB0, 0);
    type("a");
    assert_int_equal(lapic_pending(&dm.lapic[0]), 0x41);
    /* A driver that has lost track switches the source off and on to get another. */
    out8(PORT(IER), 0);
    assert_int_equal(in8(PORT(IIR)), 0x01);
    out8(PORT(IER), 0x02);
    assert_int_equal(in8(PORT(IIR)), 0x02);
}

static void the_receiver_interrupts_by_level_and_by_timeout(void **state)
{
    (void)state;
    apics_on();
    ioapic_set(GSI_UART, 0x41);
    out8(PORT(IIR), 0x81); /* trigger at 8 */
    out8(PORT(IER), 0x01);
    assert_int_equal(lapic_pending(&dm.lapic[0]), -1);
    uart_console_input(&dm.platform.uart, "123", 3);
    assert_int_equal(lapic_pending(&dm.lapic[0]), 0x41);
    assert_int_equal(in8(PORT(IIR)), 0xCC);
    uart_console_input(&dm.platform.uart, "45678", 5);
    assert_int_equal(in8(PORT(IIR)), 0xC4);
    for (unsigned i = 0; i < 8; i++) in8(PORT(DATA));
    assert_int_equal(in8(PORT(IIR)), 0xC1);
}

static void receiving_comes_before_sending(void **state)
{
    (void)state;
    out8(PORT(IER), 0x03);
    uart_console_input(&dm.platform.uart, "1", 1);
    assert_int_equal(in8(PORT(IIR)), 0x04);
    in8(PORT(DATA));
    assert_int_equal(in8(PORT(IIR)), 0x02);
}

static void switching_the_fifo_drops_input(void **state)
{
    (void)state;
    uart_console_input(&dm.platform.uart, "1", 1);
    out8(PORT(IIR), 0x01);
    assert_int_equal(in8(PORT(LSR)), 0x60);
    uart_console_input(&dm.platform.uart, "2", 1);
    out8(PORT(IIR), 0x03);
    assert_int_equal(in8(PORT(LSR)), 0x60);
}

static void modem_changes_are_noticed_once(void **state)
{
    (void)state;
    out8(PORT(MCR), 0x10);
    in8(PORT(MSR));
    out8(PORT(IER), 0x08);
    out8(PORT(MCR), 0x12); /* RTS comes back as CTS */
    assert_int_equal(in8(PORT(IIR)), 0x00);
    assert_int_equal(in8(PORT(MSR)), 0x11);
    assert_int_equal(in8(PORT(MSR)), 0x10);
    assert_int_equal(in8(PORT(IIR)), 0x01);
}

const struct CMUnitTest uart_tests[] = {
    TEST(after_power_on_it_is_idle),
    TEST(output_goes_to_the_ring_and_lines_to_the_listener),
    TEST(a_line_without_end_comes_in_pieces),
    TEST(old_output_falls_out_of_the_ring),
    TEST(the_ring_survives_a_reset),
    TEST(input_is_taken_as_far_as_it_fits),
    TEST(a_driver_finds_a_16550a),
    TEST(the_divisor_hides_data_and_ier),
    TEST(the_loop_returns_what_is_sent),
    TEST(the_transmitter_interrupts_when_asked_and_is_quieted_by_reading),
    TEST(the_receiver_interrupts_by_level_and_by_timeout),
    TEST(receiving_comes_before_sending),
    TEST(switching_the_fifo_drops_input),
    TEST(modem_changes_are_noticed_once),
};
const size_t uart_test_count = ARRAY_LEN(uart_tests);
