// SPDX-License-Identifier: MIT
// Uses a PC's old hardware as bare-metal kernels do, one line per test. With the word "reset" in its
// command line it only resets the machine through the keyboard controller.
#include <stdbool.h>

#include "apic.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "multiboot.h"
#include "text.h"
#include "trap.h"

#define PIT_HZ  1193182U
#define TICK_HZ 100U

#define PIC_VECTOR    0x20U // IRQ 0 on VECTOR_TIMER; the second 8259 eight further on
#define VECTOR_IOAPIC 0x50U
#define VECTOR_SELF   0x60U

#define IOAPIC_SELECT 0xFEC00000U
#define IOAPIC_WINDOW 0xFEC00010U
#define IOAPIC_MASKED 0x10000U

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71

#define KEYBOARD_STATUS     0x64
#define KEYBOARD_INPUT_FULL 0x02

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info);

static bool good = true;
static volatile uint32_t pic_count;
static volatile uint32_t apic_count;
static volatile uint32_t ioapic_count;
static volatile uint32_t self_count;
static volatile uint32_t serial_count;

static void report(const char *what, bool ok)
{
    say("legacy: %s %s\n", what, ok ? "ok" : "FAIL");
    good = good && ok;
}

static void on_pic_timer(void)
{
    pic_count++;
    outb(0x20, 0x20);
}

static void on_serial(void)
{
    serial_count++;
    inb(UART_PORT + 2); // reading the cause takes "transmitter empty" back
    outb(0x20, 0x20);
}

static void on_apic_timer(void)
{
    apic_count++;
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

static void on_ioapic(void)
{
    ioapic_count++;
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

static void on_self(void)
{
    self_count++;
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

// Takes interrupts for so long. A one-shot wake-up is not to be had everywhere, so it does not halt.
static void take_interrupts(uint32_t ms)
{
    uint64_t end = rdtsc() + (uint64_t)ms * clock_tsc_khz();
    __asm__ volatile("sti");
    while (rdtsc() < end) pause();
    __asm__ volatile("cli");
}

static void pic_start(uint8_t mask)
{
    outb(0x11, 0x20); // ICW1: cascade, ICW4 follows
    outb(0x11, 0xA0);
    outb(PIC_VECTOR, 0x21);
    outb(PIC_VECTOR + 8, 0xA1);
    outb(0x04, 0x21); // the second one is on IRQ 2
    outb(0x02, 0xA1);
    outb(0x01, 0x21); // 8086 mode
    outb(0x01, 0xA1);
    outb(mask, 0x21);
    outb(0xFF, 0xA1);
}

static void pit_start(void)
{
    uint32_t divisor = (PIT_HZ + TICK_HZ / 2) / TICK_HZ;
    outb(0x34, 0x43); // channel 0, low then high byte, mode 2
    outb((uint8_t)divisor, 0x40);
    outb((uint8_t)(divisor >> 8), 0x40);
}

static bool within(uint32_t count, uint32_t low, uint32_t high)
{
    return count >= low && count <= high;
}

static void test_pit(void)
{
    trap_on(PIC_VECTOR, on_pic_timer);
    pit_start();
    pic_start(0xFE);
    pic_count = 0;
    take_interrupts(1000);
    say("legacy: pit ticks=%u in a second\n", pic_count);
    report("pit", within(pic_count, 95, 105));
    outb(0xFF, 0x21);
    pic_count = 0;
    take_interrupts(50);
    report("pic mask", pic_count == 0);
}

static void test_pit_halt(void)
{
    outb(0xFE, 0x21);
    pic_count = 0;
    for (uint32_t i = 0; i < 10; i++) wait_for_interrupt();
    report("pit hlt", within(pic_count, 9, 11));
    outb(0xFF, 0x21);
}

// Channel 2 with its gate at port 0x61, as calibration loops use it: 20 ms by the TSC.
static void test_pit_gate(void)
{
    uint16_t count = PIT_HZ / 50;
    outb((uint8_t)((inb(0x61) & 0xFCU) | 0x01U), 0x61);
    outb(0xB0, 0x43);
    outb((uint8_t)count, 0x42);
    outb((uint8_t)(count >> 8), 0x42);
    uint64_t start = rdtsc();
    uint64_t give_up = start + (uint64_t)clock_tsc_khz() * 1000;
    while (!(inb(0x61) & 0x20) && rdtsc() < give_up) pause();
    uint32_t us = (uint32_t)clock_ticks_to_us(rdtsc() - start);
    say("legacy: pit gate us=%u\n", us);
    report("pit gate", within(us, 19000, 22000));
}

static void test_serial_interrupt(void)
{
    trap_on(PIC_VECTOR + 4, on_serial);
    console_drain();
    outb(0xEF, 0x21);
    serial_count = 0;
    outb(0x0B, UART_PORT + 4); // OUT2 lets the interrupt through
    outb(0x02, UART_PORT + 1);
    take_interrupts(20);
    outb(0x00, UART_PORT + 1);
    outb(0xFF, 0x21);
    report("serial irq", serial_count > 0);
}

static uint8_t cmos_read(uint8_t index)
{
    outb(index, CMOS_INDEX);
    return inb(CMOS_DATA);
}

static uint32_t from_bcd(uint32_t value)
{
    return (value >> 4) * 10 + (value & 15);
}

static void test_rtc(void)
{
    uint64_t give_up = rdtsc() + (uint64_t)clock_tsc_khz() * 100;
    while ((cmos_read(0x0A) & 0x80) && rdtsc() < give_up) pause();
    static const uint8_t indices[] = {9, 8, 7, 4, 2, 0};
    uint32_t values[6];
    bool binary = (cmos_read(0x0B) & 0x04) != 0;
    for (uint32_t i = 0; i < 6; i++) {
        values[i] = cmos_read(indices[i]);
        if (!binary) values[i] = from_bcd(values[i]);
    }
    say("legacy: rtc year=%u month=%u day=%u hour=%u minute=%u second=%u\n", values[0], values[1], values[2],
        values[3], values[4], values[5]);
    report("rtc", values[0] <= 99 && within(values[1], 1, 12) && within(values[2], 1, 31) &&
                      values[3] <= 23 && values[4] <= 59 && values[5] <= 59);
}

static void test_apic_timer(const char *what)
{
    trap_on(VECTOR_TIMER, on_apic_timer);
    apic_count = 0;
    apic_timer_start_periodic(clock_apic_khz() * (1000 / TICK_HZ));
    take_interrupts(500);
    apic_timer_stop();
    say("legacy: %s ticks=%u in half a second\n", what, apic_count);
    report(what, within(apic_count, 47, 53));
}

static void test_self_interrupt(const char *what)
{
    trap_on(VECTOR_SELF, on_self);
    self_count = 0;
    apic_write(APIC_COMMAND_LOW, 0x40000 | VECTOR_SELF);
    take_interrupts(5);
    report(what, self_count == 1);
}

static uint32_t ioapic_read(uint32_t index)
{
    mmio_write32(IOAPIC_SELECT, index);
    return mmio_read32(IOAPIC_WINDOW);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
    mmio_write32(IOAPIC_SELECT, index);
    mmio_write32(IOAPIC_WINDOW, value);
}

static void ioapic_route(uint32_t pin, uint32_t low)
{
    ioapic_write(0x10 + 2 * pin + 1, apic_read(APIC_ID));
    ioapic_write(0x10 + 2 * pin, low);
}

// The 8254 is on pin 0 or, by the usual override, on pin 2.
static void test_ioapic(void)
{
    uint32_t version = ioapic_read(1);
    uint32_t pins = ((version >> 16) & 0xFF) + 1;
    say("legacy: ioapic version=0x%x pins=%u\n", version & 0xFF, pins);
    report("ioapic registers", within(pins, 16, 240));
    trap_on(VECTOR_IOAPIC, on_ioapic);
    ioapic_count = 0;
    ioapic_route(0, VECTOR_IOAPIC);
    ioapic_route(2, VECTOR_IOAPIC);
    take_interrupts(500);
    ioapic_route(0, IOAPIC_MASKED);
    ioapic_route(2, IOAPIC_MASKED);
    say("legacy: ioapic ticks=%u in half a second\n", ioapic_count);
    report("ioapic", within(ioapic_count, 47, 53));
}

static void test_x2apic(void)
{
    if (!(cpuid(1, 0).ecx & (1U << 21))) {
        say("legacy: x2apic none\n");
        return;
    }
    uint32_t id = apic_read(APIC_ID) >> 24;
    apic_init(true);
    report("x2apic id", apic_is_x2apic() && (apic_read(APIC_ID) & 0xFF) == id);
    test_apic_timer("x2apic timer");
    test_self_interrupt("x2apic self");
}

static void test_keyboard_controller(void)
{
    report("keyboard controller", !(inb(KEYBOARD_STATUS) & KEYBOARD_INPUT_FULL));
}

static _Noreturn void reset(void)
{
    say("legacy: reset\n");
    console_drain();
    outb(0xFE, KEYBOARD_STATUS);
    take_interrupts(1000);
    report("keyboard reset", false);
    machine_exit(1);
}

static bool wants_reset(const struct multiboot_info *info)
{
    if (!(info->flags & MULTIBOOT_HAS_COMMAND_LINE)) return false;
    struct span line = span_of((const char *)info->command_line);
    for (; line.length > 0; line = span_skip(line, 1))
        if (span_is(line, " reset")) return true;
    return false;
}

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info)
{
    console_init();
    trap_init();
    apic_init(false);
    clock_init();
    say("legacy: start magic=0x%x clock=%s tsc_khz=%u apic_khz=%u\n", magic, clock_source(), clock_tsc_khz(),
        clock_apic_khz());
    if (wants_reset(info)) reset();
    test_pit();
    test_pit_halt();
    test_pit_gate();
    test_serial_interrupt();
    test_rtc();
    test_keyboard_controller();
    test_apic_timer("apic timer");
    test_self_interrupt("apic self");
    test_ioapic();
    test_x2apic();
    say("legacy: %s\n", good ? "PASS" : "FAIL");
    machine_exit(good ? 0 : 1);
}
