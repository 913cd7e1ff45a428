// SPDX-License-Identifier: MIT
// Accesses to places that are not memory: holes, devices, the end of the address space.
#include "hostile.h"

#include "apic.h"
#include "cpu.h"
#include "fpu.h"
#include "pages.h"

#define BALLOON_REGION 0xD0000000U
#define IOAPIC_REGION  0xFEC00000U
#define LEGACY_VIDEO   0xA0000U

void exotic_call(const void *piece, uint32_t device, void *memory);
extern const void *const exotic_pieces[];

static void do_read(void *address)
{
    __asm__ volatile("movb (%0), %%al; movw (%0), %%ax; movl (%0), %%eax" ::"r"(address) : "eax", "memory");
}

static void do_write(void *address)
{
    __asm__ volatile("movb $0xFF, (%0); movw $0xFFFF, (%0); movl $0, (%0)" ::"r"(address) : "memory");
}

static void act_holes(void)
{
    uint32_t end = page_address(pages_end());
    for (uint32_t address = end; address >= end; address += 0x100000) {
        // The local APIC and the flash below 4 GiB are another act's, or nobody's.
        if (address >= APIC_BASE) break;
        for (uint32_t offset = 0; offset < 8; offset++) {
            attempt(do_read, (void *)(address + offset));
            attempt(do_write, (void *)(address + offset));
        }
    }
    for (uint32_t offset = 0; offset < 8; offset++) {
        attempt(do_read, (void *)(UINT32_MAX - offset));
        attempt(do_read, (void *)(end - offset)); // across the end of RAM
        attempt(do_read, (void *)(LEGACY_VIDEO + offset));
        attempt(do_write, (void *)(LEGACY_VIDEO + offset));
    }
}

static void act_devices(void)
{
    static const uint32_t regions[] = {BALLOON_REGION, BALLOON_REGION + 0x1000, IOAPIC_REGION, 0xFED00000};
    for (uint32_t r = 0; r < sizeof regions / sizeof *regions; r++) {
        for (uint32_t offset = 0; offset < PAGE_BYTES; offset++) {
            attempt(do_read, (void *)(regions[r] + offset));
            // mite's own balloon is for `badballoon`.
            if (r > 0) attempt(do_write, (void *)(regions[r] + offset));
        }
    }
    for (uint32_t offset = 0; offset < PAGE_BYTES; offset++) attempt(do_read, (void *)(APIC_BASE + offset));
}

static void do_apic_write(void *offset)
{
    apic_write((uint32_t)offset & ~0xFU, (uint32_t)offset & 1 ? UINT32_MAX : 0);
}

static void do_apic_command(void *value)
{
    apic_write(APIC_COMMAND_LOW, *(uint32_t *)value);
}

static void do_take_interrupts(void *unused)
{
    (void)unused;
    __asm__ volatile("sti; nop; nop; cli");
}

static void act_apic(void)
{
    for (uint32_t offset = 0; offset < PAGE_BYTES; offset += 0x10) {
        // With another ID, "all but myself" would be itself.
        if (offset == APIC_COMMAND_LOW || offset == APIC_ID) continue;
        attempt(do_apic_write, (void *)offset);
        attempt(do_apic_write, (void *)(offset + 1));
        apic_write(APIC_LVT_TIMER, 0x10000);
    }
    apic_init(apic_is_x2apic());
    // To itself: every vector, those below 16 are errors; NMI; reserved modes. To nobody: INIT, start-up.
    for (uint32_t vector = 0; vector < 256; vector++) {
        uint32_t self = 0x40000 | vector;
        attempt(do_apic_command, &self);
    }
    static uint32_t commands[] = {0x40400, 0x40300, 0x40700, 0xC4500, 0xC0500, 0xC4610, 0xC4600, 0xC0200};
    for (uint32_t i = 0; i < sizeof commands / sizeof *commands; i++) attempt(do_apic_command, &commands[i]);
    // Whatever is pending now is taken and dropped.
    for (uint32_t i = 0; i < 512; i++) {
        attempt(do_take_interrupts, 0);
        apic_write(APIC_END_OF_INTERRUPT, 0);
    }
}

struct exotic {
    const void *piece;
    uint32_t device;
    void *memory;
};

static void do_exotic(void *argument)
{
    const struct exotic *exotic = argument;
    exotic_call(exotic->piece, exotic->device, exotic->memory);
}

static void act_exotic(void)
{
    static uint8_t memory[8192] __attribute__((aligned(64)));
    fpu_enable();
    const uint32_t devices[] = {hostile_hole(), BALLOON_REGION + 0x100, IOAPIC_REGION + 0x20,
                                APIC_BASE + 0x3F0, LEGACY_VIDEO};
    for (uint32_t d = 0; d < sizeof devices / sizeof *devices; d++) {
        for (const void *const *piece = exotic_pieces; *piece; piece++) {
            struct exotic exotic = {*piece, devices[d], memory};
            attempt(do_exotic, &exotic);
        }
    }
}

static void do_jump(void *address)
{
    __asm__ volatile("call *%0" ::"r"(address) : "memory", "cc");
}

static void act_jump(void)
{
    const uint32_t targets[] = {hostile_hole(), BALLOON_REGION, IOAPIC_REGION,
                                APIC_BASE,      UINT32_MAX - 1, page_address(pages_end())};
    for (uint32_t i = 0; i < sizeof targets / sizeof *targets; i++) attempt(do_jump, (void *)targets[i]);
}

const struct hostile_act hostile_memory_acts[] = {
    {"holes", act_holes, false},   {"devices", act_devices, false}, {"apic", act_apic, false},
    {"exotic", act_exotic, false}, {"jump", act_jump, true},        {0},
};
