// SPDX-License-Identifier: MIT
#include "console.h"

#include <stdarg.h>

#include "cpu.h"

enum {
    UART_DATA = UART_PORT,
    UART_INTERRUPT_ENABLE = UART_PORT + 1,
    UART_FIFO_CONTROL = UART_PORT + 2,
    UART_LINE_CONTROL = UART_PORT + 3,
    UART_MODEM_CONTROL = UART_PORT + 4,
    UART_LINE_STATUS = UART_PORT + 5,
    LINE_STATUS_HOLDING_EMPTY = 0x20,
    LINE_STATUS_ALL_SENT = 0x40,
};

// A missing or stuck UART must not stop a workload.
static void wait_line_status(uint8_t bit)
{
    for (uint32_t tries = 0; tries < 1000000; tries++)
        if (inb(UART_LINE_STATUS) & bit) return;
}

void console_init(void)
{
    outb(0x00, UART_INTERRUPT_ENABLE);
    outb(0x80, UART_LINE_CONTROL); // divisor latch
    outb(0x01, UART_DATA);         // 115200 baud
    outb(0x00, UART_INTERRUPT_ENABLE);
    outb(0x03, UART_LINE_CONTROL); // 8N1
    outb(0x07, UART_FIFO_CONTROL);
    outb(0x03, UART_MODEM_CONTROL);
}

void console_byte(char byte)
{
    wait_line_status(LINE_STATUS_HOLDING_EMPTY);
    outb((uint8_t)byte, UART_DATA);
}

void console_drain(void)
{
    wait_line_status(LINE_STATUS_ALL_SENT);
}

static void put_number(uint64_t value, uint32_t base)
{
    char digits[20];
    uint32_t count = 0;
    do {
        uint64_t rest = divide(value, base);
        uint32_t digit = (uint32_t)(value - rest * base);
        digits[count++] = "0123456789abcdef"[digit];
        value = rest;
    } while (value != 0);
    while (count > 0) console_byte(digits[--count]);
}

static void put_string(const char *text, uint32_t limit)
{
    for (; limit > 0 && *text != '\0'; text++, limit--) console_byte(*text);
}

void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    for (const char *p = format; *p != '\0'; p++) {
        if (*p == '\n') console_byte('\r');
        if (*p != '%') {
            console_byte(*p);
            continue;
        }
        p++;
        uint32_t limit = UINT32_MAX;
        uint32_t longs = 0;
        if (p[0] == '.' && p[1] == '*') {
            limit = va_arg(args, uint32_t);
            p += 2;
        }
        for (; *p == 'l'; p++) longs++;
        switch (*p) {
        case 's': put_string(va_arg(args, const char *), limit); break;
        case 'c': console_byte((char)va_arg(args, int)); break;
        case 'u':
        case 'x':
            put_number(longs == 2 ? va_arg(args, uint64_t) : va_arg(args, uint32_t), *p == 'u' ? 10 : 16);
            break;
        default: console_byte(*p); break;
        }
    }
    va_end(args);
}

_Noreturn void machine_exit(uint32_t code)
{
    console_drain();
    outl(code, EXIT_PORT);
    for (;;) __asm__ volatile("cli; hlt");
}
