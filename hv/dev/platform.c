/* SPDX-License-Identifier: MIT
 *
 * The doors to a guest's devices: which port and which address is whose.
 */
#include "dev/platform.h"

#include "lib/string.h"
#include "tithe/abi.h"

#define PORT_EXIT      0xF4u
#define PORT_FAST_A20  0x92u
#define PORT_PCI_INDEX 0xCF8u
#define PORT_PCI_RESET 0xCF9u
#define PORT_PCI_LAST  0xCFFu
#define FAST_RESET     0x01u
#define FAST_A20       0x02u
#define PCI_RESET_CPU  0x04u

void platform_init(struct platform *p, const struct platform_ops *ops, void *ctx, uint64_t now_ns)
{
    memset(p, 0, sizeof *p);
    p->ops = ops;
    p->ctx = ctx;
    p->lock = (struct lock)LOCK_INIT(LOCK_DEVICES);
    uart_init(&p->uart, p);
    virtio_balloon_init(&p->balloon);
    virtio_mmio_init(&p->balloon_transport, p, &virtio_balloon_device, GSI_VIRTIO);
    platform_reset(p, now_ns);
}

void platform_add_disk(struct platform *p, struct virtio_blk *blk)
{
    p->blk = blk;
    virtio_mmio_init(&p->blk_transport, p, &virtio_blk_device, GSI_VIRTIO + 1);
}

void platform_reset(struct platform *p, uint64_t now_ns)
{
    ioapic_init(&p->ioapic, p);
    pic_init(&p->pic);
    pit_init(&p->pit, p, now_ns);
    cmos_init(&p->cmos);
    kbc_init(&p->kbc);
    acpi_pm_init(&p->acpi_pm);
    uart_reset(&p->uart);
    virtio_mmio_reset(&p->balloon_transport);
    if (p->blk != NULL) virtio_mmio_reset(&p->blk_transport);
}

/* ---- ports ---- */

static uint8_t in_byte(struct platform *p, uint16_t port, uint64_t now_ns)
{
    switch (port) {
    case 0x20:
    case 0x21:
    case 0xA0:
    case 0xA1:
    case 0x4D0:
    case 0x4D1: return pic_read(&p->pic, port);
    case 0x40:
    case 0x41:
    case 0x42:
    case 0x43:
    case 0x61: return pit_read(&p->pit, port, now_ns);
    case 0x60:
    case 0x64: return kbc_read(&p->kbc, port);
    case 0x70:
    case 0x71: return cmos_read(&p->cmos, port, p->ops->wall_ns(p->ctx));
    case PORT_FAST_A20: return FAST_A20;
    case ACPI_SLEEP_CONTROL_PORT:
    case ACPI_SLEEP_STATUS_PORT:
    case ACPI_RESET_PORT: return acpi_pm_read(&p->acpi_pm, port);
    default: return 0xFF;
    }
}

static void pm_write(struct platform *p, uint16_t port, uint8_t value)
{
    switch (acpi_pm_write(&p->acpi_pm, port, value)) {
    case ACPI_PM_POWEROFF: p->ops->stop(p->ctx, TITHE_STOP_POWEROFF, 0); break;
    case ACPI_PM_RESET: p->ops->reboot(p->ctx); break;
    case ACPI_PM_NOTHING: break;
    }
}

/* The 8259 pair may have something for vCPU 0 now. */
static void pic_changed(struct platform *p)
{
    if (platform_pic_pending(p) >= 0) p->ops->kick(p->ctx, 0);
}

static void out_byte(struct platform *p, uint16_t port, uint8_t value, uint64_t now_ns)
{
    switch (port) {
    case 0x20:
    case 0x21:
    case 0xA0:
    case 0xA1:
    case 0x4D0:
    case 0x4D1:
        pic_write(&p->pic, port, value);
        pic_changed(p);
        break;
    case 0x40:
    case 0x41:
    case 0x42:
    case 0x43:
    case 0x61: pit_write(&p->pit, port, value, now_ns); break;
    case 0x60:
    case 0x64:
        if (kbc_write(&p->kbc, port, value)) p->ops->reboot(p->ctx);
        break;
    case 0x70:
    case 0x71: cmos_write(&p->cmos, port, value); break;
    case PORT_FAST_A20:
        if ((value & FAST_RESET) != 0) p->ops->reboot(p->ctx);
        break;
    case PORT_PCI_RESET:
        if ((value & PCI_RESET_CPU) != 0) p->ops->reboot(p->ctx);
        break;
    case ACPI_SLEEP_CONTROL_PORT:
    case ACPI_SLEEP_STATUS_PORT:
    case ACPI_RESET_PORT: pm_write(p, port, value); break;
    default: break;
    }
}

static bool is_uart(uint16_t port)
{
    return port >= UART_PORT && port < UART_PORT + 8;
}
/* There is no PCI: what would be its configuration ports is decoded as one piece, so that no part of a wide access hits
 * the reset register in their middle. */
static bool is_pci(uint16_t port, unsigned bytes)
{
    return port >= PORT_PCI_INDEX && port <= PORT_PCI_LAST && !(port == PORT_PCI_RESET && bytes == 1);
}

uint32_t platform_in(struct platform *p, uint16_t port, unsigned bytes, uint64_t now_ns)
{
    if (is_uart(port) && bytes == 1) return uart_read(&p->uart, port - UART_PORT);
    const uint32_t ones = bytes == 4 ? UINT32_MAX : (1u << 8 * bytes) - 1;
    if (is_pci(port, bytes)) return ones;
    /* A wide access is one of bytes to ports in a row, as on an ISA bus. */
    uint32_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        const uint16_t at = (uint16_t)(port + i);
        const uint8_t byte = is_uart(at) ? uart_read(&p->uart, at - UART_PORT) : in_byte(p, at, now_ns);
        value |= (uint32_t)byte << 8 * i;
    }
    return value;
}

void platform_out(struct platform *p, uint16_t port, unsigned bytes, uint32_t value, uint64_t now_ns)
{
    if (is_uart(port) && bytes == 1) {
        uart_write(&p->uart, port - UART_PORT, (uint8_t)value);
        return;
    }
    if (port == PORT_EXIT) {
        p->ops->stop(p->ctx, TITHE_STOP_EXIT, bytes == 4 ? value : value & ((1u << 8 * bytes) - 1));
        return;
    }
    if (is_pci(port, bytes)) return;
    for (unsigned i = 0; i < bytes; i++) {
        const uint16_t at = (uint16_t)(port + i);
        const uint8_t byte = (uint8_t)(value >> 8 * i);
        if (is_uart(at)) {
            uart_write(&p->uart, at - UART_PORT, byte);
        } else {
            out_byte(p, at, byte, now_ns);
        }
    }
}

/* ---- MMIO ---- */

/* Offset in a window of 4 KiB at `base`, or UINT32_MAX. */
static uint32_t window(gpa_t gpa, gpa_t base)
{
    return (gpa & PAGE_MASK) == base ? (uint32_t)(gpa - base) : UINT32_MAX;
}

/* The virtio device whose window this is in, and where; NULL: none. */
static struct virtio_mmio *virtio_at(struct platform *p, gpa_t gpa, uint32_t *offset)
{
    if ((*offset = window(gpa, VIRTIO_MMIO_BASE)) != UINT32_MAX) return &p->balloon_transport;
    *offset = window(gpa, VIRTIO_MMIO_BASE + VIRTIO_MMIO_BYTES);
    return *offset != UINT32_MAX && p->blk != NULL ? &p->blk_transport : NULL;
}

/* APIC registers are 32 bits wide, 16 bytes apart. A narrower read gets its part of one. */
static uint64_t narrow(uint64_t value, uint32_t offset, unsigned bytes)
{
    if ((offset & 15) + bytes > 4) return 0;
    return value >> 8 * (offset & 3) & (bytes == 4 ? UINT32_MAX : (1u << 8 * bytes) - 1);
}

bool platform_mmio_read(struct platform *p, uint32_t vcpu, gpa_t gpa, unsigned bytes, uint64_t *value,
                        uint64_t now_ns)
{
    uint32_t offset;
    struct virtio_mmio *virtio;
    if ((offset = window(gpa, LAPIC_BASE)) != UINT32_MAX) {
        struct lapic *l = p->ops->lapic(p->ctx, vcpu);
        if (l != NULL && lapic_read(l, offset & ~15u, false, value, now_ns)) {
            *value = narrow(*value, offset, bytes);
            return true;
        }
    } else if ((offset = window(gpa, IOAPIC_BASE)) != UINT32_MAX) {
        *value = narrow(ioapic_read(&p->ioapic, offset & ~15u), offset, bytes);
        return true;
    } else if ((virtio = virtio_at(p, gpa, &offset)) != NULL) {
        *value = bytes <= 4 ? virtio_mmio_read(virtio, offset, bytes) : 0;
        return true;
    }
    *value = bytes == 8 ? UINT64_MAX : (1ull << 8 * bytes) - 1;
    return false;
}

bool platform_mmio_write(struct platform *p, uint32_t vcpu, gpa_t gpa, unsigned bytes, uint64_t value,
                         uint64_t now_ns)
{
    uint32_t offset;
    if ((offset = window(gpa, LAPIC_BASE)) != UINT32_MAX) {
        struct lapic *l = p->ops->lapic(p->ctx, vcpu);
        if (l == NULL) return false;
        if ((offset & 15) != 0 || bytes < 4) return true; /* undefined (SDM 3A 11.4.1): ignored */
        return lapic_write(l, offset, false, (uint32_t)value, now_ns);
    }
    if ((offset = window(gpa, IOAPIC_BASE)) != UINT32_MAX) {
        /* Only the index may be written as a byte (82093AA 3.1). */
        if (bytes >= 4 || offset == 0) ioapic_write(&p->ioapic, offset, (uint32_t)value);
        return true;
    }
    struct virtio_mmio *virtio = virtio_at(p, gpa, &offset);
    if (virtio != NULL) {
        if (bytes <= 4) virtio_mmio_write(virtio, offset, bytes, (uint32_t)value, now_ns);
        return true;
    }
    return false;
}

/* ---- time and interrupts ---- */

uint64_t platform_poll(struct platform *p, uint64_t now_ns)
{
    const uint64_t next_ns = pit_poll(&p->pit, now_ns);
    (void)virtio_mmio_poll(&p->balloon_transport, now_ns);
    if (p->blk != NULL) (void)virtio_mmio_poll(&p->blk_transport, now_ns);
    return platform_has_work(p) ? now_ns : next_ns;
}

bool platform_has_work(const struct platform *p)
{
    return (p->balloon_transport.pending | p->blk_transport.pending) != 0;
}

void platform_gsi(struct platform *p, uint32_t gsi, bool level)
{
    ioapic_line(&p->ioapic, gsi, level);
    if (gsi < 16) {
        pic_line(&p->pic, gsi == GSI_TIMER ? 0 : gsi, level);
        if (level) pic_changed(p);
    }
}

int platform_pic_pending(struct platform *p)
{
    const int vector = pic_pending(&p->pic);
    if (vector < 0) return -1;
    /* A disabled LAPIC lets the line through to the CPU; an enabled one if LINT0 says ExtINT (SDM 3A 11.4.3, 11.5.1). */
    const struct lapic *l = p->ops->lapic(p->ctx, 0);
    if (l == NULL) return -1;
    const uint32_t masked_and_mode = l->lvt[LVT_LINT0] & (1u << 16 | 7u << 8);
    if ((l->base_msr & LAPIC_BASE_ENABLE) != 0 && masked_and_mode != LAPIC_EXTINT << 8) return -1;
    return vector;
}

uint8_t platform_pic_take(struct platform *p)
{
    return pic_take(&p->pic);
}

/* ---- balloon ---- */

void platform_balloon_target(struct platform *p, uint64_t pages)
{
    virtio_balloon_target(&p->balloon, &p->balloon_transport, pages);
}

void platform_balloon_poll_stats(struct platform *p)
{
    virtio_balloon_poll_stats(&p->balloon, &p->balloon_transport);
}
