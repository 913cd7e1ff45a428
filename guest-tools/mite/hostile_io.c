// SPDX-License-Identifier: MIT
// Port accesses of every width to everywhere, and string I/O with awkward addresses.
#include "hostile.h"

#include "console.h"
#include "cpu.h"
#include "pages.h"
#include "trap.h"

// Ports whose writing ends the machine, switches something mite needs, or prints.
static bool spared(uint32_t port)
{
    return (port >= EXIT_PORT - 3 && port <= EXIT_PORT + 3) || (port >= 0x5FD && port <= 0x640) ||
           (port >= UART_PORT - 3 && port <= UART_PORT + 7) || (port >= 0x5D && port <= 0x64) ||
           (port >= 0x8F && port <= 0x92) || (port >= 0xAF && port <= 0xB3) ||
           (port >= 0xCF5 && port <= 0xCFF) || (port >= 0x4FD && port <= 0x505);
}

static void act_ports(void)
{
    for (uint32_t port = 0; port < 0x10000; port++) {
        inb((uint16_t)port);
        inw((uint16_t)port);
        inl((uint16_t)port);
        if (spared(port)) continue;
        outb(0xFF, (uint16_t)port);
        outw(0, (uint16_t)port);
        outl(UINT32_MAX, (uint16_t)port);
    }
}

struct string_io {
    uint32_t address;
    uint32_t count;
    uint16_t port;
};

#define STRING_IO(name, code)                                                                                \
    static void do_##name(void *argument)                                                                    \
    {                                                                                                        \
        struct string_io *io = argument;                                                                     \
        uint32_t source = io->address, target = io->address, count = io->count;                              \
        __asm__ volatile(code : "+S"(source), "+D"(target), "+c"(count) : "d"(io->port) : "memory");         \
    }

STRING_IO(outsb, "rep outsb")
STRING_IO(outsw, "rep outsw")
STRING_IO(outsl, "rep outsl")
STRING_IO(insb, "rep insb")
STRING_IO(insw, "rep insw")
STRING_IO(insl, "rep insl")
STRING_IO(outsb_down, "std; rep outsb; cld")
STRING_IO(insw_down, "std; rep insw; cld")
STRING_IO(outsb_once, "outsb")
STRING_IO(outsb_addr16, "movzwl %%si, %%esi; movzwl %%cx, %%ecx; addr16 rep outsb")

static void (*const outputs[])(void *) = {do_outsb,      do_outsw,      do_outsl,
                                          do_outsb_down, do_outsb_once, do_outsb_addr16};
static void (*const inputs[])(void *) = {do_insb, do_insw, do_insl, do_insw_down};

static void act_strings(void)
{
    uint32_t scratch = hostile_scratch_page();
    uint32_t ram = scratch == PAGE_NONE ? 0x8000 : page_address(scratch);
    uint32_t ram_end = page_address(pages_end());
    // The UART's scratch register, the delay port, the keyboard's data, and nothing.
    static const uint16_t ports[] = {0x3FF, 0x80, 0x60, 0x1234};
    const uint32_t sources[] = {ram,        ram + PAGE_BYTES - 2, ram_end - 3, hostile_hole(),
                                0xD0000000, 0xFEE00020,           0xFFFFFFFE,  0xA0000};
    // Nothing is read into where mite or its data could be hit; the balloon's page is read-only here.
    const uint32_t targets[] = {ram + 512, hostile_hole(), ram_end + PAGE_BYTES, 0xF0000000};
    for (uint32_t p = 0; p < sizeof ports / sizeof *ports; p++) {
        for (uint32_t s = 0; s < sizeof sources / sizeof *sources; s++) {
            struct string_io io = {sources[s], 5, ports[p]};
            for (uint32_t o = 0; o < sizeof outputs / sizeof *outputs; o++) attempt(outputs[o], &io);
        }
        for (uint32_t t = 0; t < sizeof targets / sizeof *targets; t++) {
            struct string_io io = {targets[t], 16, ports[p]};
            for (uint32_t i = 0; i < sizeof inputs / sizeof *inputs; i++) attempt(inputs[i], &io);
        }
    }
    // Long ones: a hypervisor must be able to stop in the middle.
    struct string_io none = {ram, 0, 0x80};
    struct string_io many = {ram, 200000, 0x80};
    attempt(do_outsb, &none);
    attempt(do_insl, &none);
    attempt(do_outsl, &many);
}

static void act_smi(void)
{
    for (uint32_t command = 0; command < 256; command++) outb((uint8_t)command, 0xB2);
}

const struct hostile_act hostile_io_acts[] = {
    {"ports", act_ports, false},
    {"strings", act_strings, false},
    {"smi", act_smi, false},
    {0},
};
