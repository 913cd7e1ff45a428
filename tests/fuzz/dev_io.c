/* SPDX-License-Identifier: MIT
 *
 * A guest that does anything to its devices: ports, MMIO, x2APIC MSRs, rings in its memory, in any order, while time
 * goes on, interrupts are taken, and an operator types and moves targets.
 */
#include "dev_fuzz.h"

#include "dev_virtio.h"

#include <stdio.h>
#include <stdlib.h>

static const uint8_t *next, *end;

static uint64_t take(unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && next < end; i++) value |= (uint64_t)*next++ << 8 * i;
    return value;
}

static void must(bool holds, const char *what)
{
    if (holds) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static const uint16_t ports[] = {0x20,  0x21,  0xA0,  0xA1,  0x4D0, 0x4D1, 0x40,  0x41,  0x42,  0x43,  0x61,
                                 0x60,  0x64,  0x70,  0x71,  0x92,  0xF4,  0xCF8, 0xCF9, 0xCFC, 0x600, 0x601,
                                 0x602, 0x3F8, 0x3F9, 0x3FA, 0x3FB, 0x3FC, 0x3FD, 0x3FE, 0x3FF, 0x3F6};
static const gpa_t windows[] = {LAPIC_BASE, IOAPIC_BASE, VIRTIO_MMIO_BASE, BLK_MMIO_BASE};

static void port_access(bool write)
{
    const uint8_t choice = (uint8_t)take(1);
    const uint16_t port = choice < 0xF0 ? ports[choice % ARRAY_LEN(ports)] : (uint16_t)take(2);
    const unsigned bytes = 1u << take(1) % 3;
    if (write) {
        platform_out(&dm.platform, port, bytes, (uint32_t)take(bytes), dm.now_ns);
    } else {
        const uint32_t value = platform_in(&dm.platform, port, bytes, dm.now_ns);
        must(bytes == 4 || value < 1u << 8 * bytes, "a port's value is wider than the access");
    }
}

static void mmio_access(bool write)
{
    const uint8_t choice = (uint8_t)take(1);
    const gpa_t gpa = windows[choice % 4] + (choice < 0xF0 ? (take(1) << 2) % 0x400 : take(2));
    const unsigned bytes = choice & 0x40 ? 1u << take(1) % 4 : 4;
    uint64_t value = 0;
    if (write) {
        (void)platform_mmio_write(&dm.platform, choice >> 5 & 1, gpa, bytes, take(bytes), dm.now_ns);
    } else {
        (void)platform_mmio_read(&dm.platform, choice >> 5 & 1, gpa, bytes, &value, dm.now_ns);
        must(bytes == 8 || value < 1ull << 8 * bytes, "an MMIO value is wider than the access");
    }
}

/* Refused or not, nothing may break. */
static bool refused;

static void x2apic_access(void)
{
    struct lapic *l = &dm.lapic[take(1) % VCPUS];
    const uint32_t offset = (uint32_t)take(1) << 4;
    uint64_t value;
    switch (take(1) % 4) {
    case 0: refused = !lapic_write_base(l, LAPIC_BASE | take(1) << 8 | take(1)); break;
    case 1: refused = !lapic_read(l, offset, true, &value, dm.now_ns); break;
    case 2: refused = !lapic_write(l, offset, true, take(8), dm.now_ns); break;
    default: lapic_write_tsc_deadline(l, take(8), dm.now_ns + take(4)); break;
    }
}

static void time_passes(void)
{
    dm.now_ns += take(1) << take(1) % 40;
    dm.wall_ns = dm.now_ns;
    (void)platform_poll(&dm.platform, dm.now_ns);
    for (unsigned i = 0; i < VCPUS; i++) lapic_poll(&dm.lapic[i], dm.now_ns);
}

static void interrupts_are_taken(void)
{
    for (unsigned i = 0; i < VCPUS; i++) {
        const int vector = lapic_pending(&dm.lapic[i]);
        must(vector == -1 || (vector >= 16 && vector < 256), "an impossible vector is pending");
        if (vector < 0) continue;
        lapic_take(&dm.lapic[i], (uint8_t)vector);
        must(lapic_pending(&dm.lapic[i]) != vector, "an interrupt is pending although it is in service");
    }
    const int vector = platform_pic_pending(&dm.platform);
    if (vector >= 0)
        must(platform_pic_take(&dm.platform) == vector, "the 8259 gives another vector than it said");
}

/* A request to the disk that makes sense, but for what the input says otherwise. */
static void disk_request(void)
{
    const uint64_t header[2] = {take(1) % 16 ? take(1) % 6 : take(4),
                                take(1) % 16 ? take(2) % 1024 : take(8)};
    const uint16_t at = (uint16_t)take(1) % (RING_SIZE - 3);
    const uint16_t data_flags = header[0] == BLK_READ ? 3 : 1;
    put(BUFFER, header, sizeof header);
    descriptor(BLK_QUEUE, at, BUFFER, 16, 1, (uint16_t)(at + 1));
    descriptor(BLK_QUEUE, at + 1u, BUFFER + take(2), take(1) % 8 ? 512u << take(1) % 9 : (uint32_t)take(4),
               take(1) % 16 ? data_flags : (uint16_t)take(1), (uint16_t)(at + 2));
    descriptor(BLK_QUEUE, at + 2u, take(1) % 16 ? BUFFER + take(2) : take(4), 1, 2, 0);
    make_available(BLK_QUEUE, at);
    write32(BLK_MMIO_BASE + 0x050, 0);
}

static void memory_changes(void)
{
    const unsigned queue = (unsigned)take(1) % 5;
    switch (take(1) % 6) {
    case 0:
        descriptor(queue, (unsigned)take(1) % RING_SIZE, take(4), (uint32_t)take(3), (uint16_t)take(1),
                   (uint16_t)take(1));
        break;
    case 1: make_available(queue, (uint16_t)take(1)); break;
    case 2: {
        const uint32_t value = (uint32_t)take(4);
        put(DESC(queue) + take(2) % 0x2FFC, &value, sizeof value);
        break;
    }
    case 3:
    case 4: disk_request(); break;
    default: write32(queue == BLK_QUEUE ? BLK_MMIO_BASE + 0x050 : VIRTIO_MMIO_BASE + 0x050, queue % 4); break;
    }
}

static void the_core_acts(void)
{
    uint8_t bytes[64];
    uint64_t offset;
    switch (take(1) % 10) {
    case 8:
        if (dm.disk_count != 0) dev_machine_disk_done((unsigned)take(1) % dm.disk_count, take(1) & 1);
        break;
    case 9: dm.disk_start = (enum blk_start)(take(1) % 3); break;
    case 0: platform_balloon_target(&dm.platform, take(8)); break;
    case 1: platform_balloon_poll_stats(&dm.platform); break;
    case 2:
        memset(bytes, (int)take(1), sizeof bytes);
        (void)uart_console_input(&dm.platform.uart, bytes, sizeof bytes);
        break;
    case 3:
        offset = take(8);
        must(uart_console_read(&dm.platform.uart, &offset, bytes, sizeof bytes) <= sizeof bytes,
             "too much was read");
        must(offset <= uart_console_offset(&dm.platform.uart), "an offset past the end");
        break;
    case 4: platform_gsi(&dm.platform, (uint32_t)take(1), take(1) & 1); break;
    case 5: platform_reset(&dm.platform, dm.now_ns); break;
    case 6: lapic_reset(&dm.lapic[take(1) % VCPUS]); break;
    default: /* a driver that does everything right, so that what follows hits a running device */
        reg_write(0x070, 0);
        for (unsigned i = 0; i < 4; i++) memset(dm.ram + DESC(i), 0, 0x3000);
        driver_start(0x37 | VIRTIO_F_VERSION_1);
        blk_driver_start();
        for (unsigned i = 0; i < VCPUS; i++)
            (void)platform_mmio_write(&dm.platform, i, LAPIC_BASE + 0xF0, 4, 0x1FF, 0);
        ioapic_set(GSI_VIRTIO, 0x50 | 1u << 15);
        ioapic_set(GSI_UART, 0x41);
        ioapic_set(GSI_TIMER, 0x30);
        break;
    }
}

static void check(void)
{
    const struct uart *u = &dm.platform.uart;
    must(u->input_count <= UART_INPUT_BYTES && u->input_head < UART_INPUT_BYTES, "UART input out of bounds");
    must(u->output_bytes - u->line_start < UART_LINE_BYTES, "an unfinished line is too long");
    must(dm.platform.kbc.out_count <= 4, "keyboard output out of bounds");
    must(dm.platform.pit.channel[0].reload <= 65536, "PIT reload out of bounds");
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) {
        const struct virtqueue *q = &dm.platform.balloon_transport.queue[i];
        must(!q->ready || virtqueue_valid(q), "a queue became invalid while ready");
    }
    must(dm.blk.busy == dm.disk_count, "the disk has lost count");
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        const uint64_t r = dm.platform.ioapic.redirection[pin];
        must((r & 1u << 15) != 0 || (r & 1u << 14) == 0, "remote IRR of an edge-triggered pin");
    }
}

void fuzz_io(const uint8_t *data, size_t size)
{
    next = data;
    end = data + size;
    dev_machine_reset();
    dev_machine_add_disk();
    while (next < end) {
        switch (take(1) % 8) {
        case 0: port_access(false); break;
        case 1: port_access(true); break;
        case 2: mmio_access(false); break;
        case 3: mmio_access(true); break;
        case 4: x2apic_access(); break;
        case 5:
            time_passes();
            interrupts_are_taken();
            break;
        case 6: memory_changes(); break;
        default: the_core_acts(); break;
        }
        check();
    }
}
