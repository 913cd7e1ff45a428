/* SPDX-License-Identifier: MIT
 *
 * Interrupts of the host: vectors, the I/O APICs (82093AA data sheet), and the legacy controllers, which stay
 * masked.
 */
#include "lib/log.h"
#include "x86/acpi.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/host_map.h"
#include "x86/irq.h"
#include "x86/percpu.h"

#define IOAPIC_VERSION     0x01
#define IOAPIC_REDIRECTION 0x10
#define IOAPIC_ACTIVE_LOW  (1u << 13)
#define IOAPIC_LEVEL       (1u << 15)
#define IOAPIC_MASKED      (1u << 16)

#define PIC_MASTER   0x20
#define PIC_SLAVE    0xa0
#define PIC_VECTORS  0x20
#define SPURIOUS_PIC 0x30 /* below this: spurious ones of the masked controllers */

struct ioapic {
    volatile uint32_t *select;
    volatile uint32_t *window;
    uint32_t gsi_base;
    uint32_t pins;
};
static struct ioapic ioapics[ACPI_IOAPICS_MAX];
static uint32_t ioapic_count;
static void (*handlers[256])(void);

void irq_register(uint8_t vector, void (*handler)(void))
{
    handlers[vector] = handler;
}

void irq_dispatch(uint8_t vector)
{
    this_cpu()->interrupts++;
    if (vector == IRQ_VECTOR_SPURIOUS || vector < SPURIOUS_PIC) return; /* SDM 3A 11.9: no EOI */
    if (handlers[vector] != NULL) handlers[vector]();
    apic_eoi();
}

static uint32_t ioapic_read(const struct ioapic *io, uint32_t r)
{
    *io->select = r;
    return *io->window;
}

static void ioapic_write(const struct ioapic *io, uint32_t r, uint32_t value)
{
    *io->select = r;
    *io->window = value;
}

static void mask_legacy_controllers(void)
{
    /* Initialised, so that a spurious interrupt does not look like an exception; then masked. */
    outb(PIC_MASTER, 0x11);
    outb(PIC_SLAVE, 0x11);
    outb(PIC_MASTER + 1, PIC_VECTORS);
    outb(PIC_SLAVE + 1, PIC_VECTORS + 8);
    outb(PIC_MASTER + 1, 4);
    outb(PIC_SLAVE + 1, 2);
    outb(PIC_MASTER + 1, 1);
    outb(PIC_SLAVE + 1, 1);
    outb(PIC_MASTER + 1, 0xff);
    outb(PIC_SLAVE + 1, 0xff);
}

void irq_init(void)
{
    mask_legacy_controllers();
    for (uint32_t i = 0; i < acpi_info.ioapic_count; i++) {
        volatile uint32_t *base = host_map_device(acpi_info.ioapic[i].address, PAGE_BYTES);
        if (base == NULL) continue;
        struct ioapic *io = &ioapics[ioapic_count];
        *io = (struct ioapic){.select = base, .window = base + 4, .gsi_base = acpi_info.ioapic[i].gsi_base};
        uint32_t version = ioapic_read(io, IOAPIC_VERSION);
        if (version == 0 || version == UINT32_MAX) continue; /* nobody there */
        ioapic_count++;
        io->pins = (version >> 16 & 0xff) + 1;
        for (uint32_t pin = 0; pin < io->pins; pin++)
            ioapic_write(io, IOAPIC_REDIRECTION + pin * 2, IOAPIC_MASKED);
    }
}

bool irq_enable_isa(uint8_t line)
{
    const struct acpi_isa_line *isa = &acpi_info.isa[line];

    for (uint32_t i = 0; i < ioapic_count; i++) {
        const struct ioapic *io = &ioapics[i];
        if (isa->gsi < io->gsi_base || isa->gsi - io->gsi_base >= io->pins) continue;
        uint32_t r = IOAPIC_REDIRECTION + (isa->gsi - io->gsi_base) * 2;
        ioapic_write(io, r + 1, this_cpu()->apic_id << 24);
        ioapic_write(io, r,
                     (uint32_t)(IRQ_VECTOR_ISA + line) | (isa->active_low ? IOAPIC_ACTIVE_LOW : 0) |
                         (isa->level ? IOAPIC_LEVEL : 0));
        return true;
    }
    return false;
}
