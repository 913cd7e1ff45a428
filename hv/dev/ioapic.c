/* SPDX-License-Identifier: MIT */
#include "dev/ioapic.h"

#include "dev/platform.h"
#include "lib/string.h"

/* Indirect registers, and the windows to them. */
#define REG_ID          0x00u
#define REG_VERSION     0x01u
#define REG_ARBITRATION 0x02u
#define REG_REDIRECTION 0x10u
#define OFFSET_SELECT   0x00u
#define OFFSET_WINDOW   0x10u
#define OFFSET_EOI      0x40u
#define VERSION         (0x20u | (IOAPIC_PINS - 1u) << 16)

#define RED_LOGICAL    (1ull << 11)
#define RED_REMOTE_IRR (1ull << 14)
#define RED_LEVEL      (1ull << 15)
#define RED_MASKED     (1ull << 16)
#define RED_WRITABLE   (0xFF0000000001AFFFull)

void ioapic_init(struct ioapic *io, struct platform *platform)
{
    memset(io, 0, sizeof *io);
    io->platform = platform;
    for (unsigned i = 0; i < IOAPIC_PINS; i++) io->redirection[i] = RED_MASKED;
}

static void send(struct ioapic *io, uint32_t pin)
{
    uint64_t *r = &io->redirection[pin];
    const bool level = (*r & RED_LEVEL) != 0;
    const uint32_t dest = (uint32_t)(*r >> 56);
    if (level) *r |= RED_REMOTE_IRR;
    platform_deliver(io->platform, dest == 0xFF ? LAPIC_BROADCAST : dest, (*r & RED_LOGICAL) != 0,
                     (uint32_t)(*r >> 8 & 7), (uint8_t)*r, level);
}

/* A level-triggered pin that is up and whose last message has been ended interrupts (again). The devices of this
 * machine speak of "active" and not of volts, so the polarity bit changes nothing. */
static void send_level(struct ioapic *io, uint32_t pin)
{
    const uint64_t r = io->redirection[pin];
    if ((io->lines >> pin & 1) != 0 && (r & RED_LEVEL) != 0 && (r & (RED_MASKED | RED_REMOTE_IRR)) == 0) {
        send(io, pin);
    }
}

void ioapic_line(struct ioapic *io, uint32_t pin, bool level)
{
    if (pin >= IOAPIC_PINS) return;
    const bool was = (io->lines >> pin & 1) != 0;
    io->lines = (io->lines & ~(1u << pin)) | (uint32_t)level << pin;
    if (!level || was) return;
    if ((io->redirection[pin] & RED_LEVEL) != 0) {
        send_level(io, pin);
    } else if ((io->redirection[pin] & RED_MASKED) == 0) {
        send(io, pin);
    }
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
    for (uint32_t pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *r = &io->redirection[pin];
        if ((uint8_t)*r == vector && (*r & RED_REMOTE_IRR) != 0) {
            *r &= ~RED_REMOTE_IRR;
            send_level(io, pin);
        }
    }
}

uint32_t ioapic_read(struct ioapic *io, uint32_t offset)
{
    if (offset == OFFSET_SELECT) return io->select;
    if (offset != OFFSET_WINDOW) return 0;
    switch (io->select) {
    case REG_ID:
    case REG_ARBITRATION: return io->id << 24;
    case REG_VERSION: return VERSION;
    default: break;
    }
    const uint32_t index = (io->select - REG_REDIRECTION) / 2;
    if (io->select < REG_REDIRECTION || index >= IOAPIC_PINS) return 0;
    return (uint32_t)(io->redirection[index] >> (io->select % 2 != 0 ? 32 : 0));
}

static void write_redirection(struct ioapic *io, uint32_t pin, bool high, uint32_t value)
{
    uint64_t *r = &io->redirection[pin];
    const uint64_t merged = high ? (uint32_t)*r | (uint64_t)value << 32 : (*r & 0xFFFFFFFF00000000) | value;
    *r = (merged & RED_WRITABLE) | (*r & RED_REMOTE_IRR);
    /* An edge-triggered entry has no remote IRR; old drivers end an interrupt by switching to edge and back. */
    if ((*r & RED_LEVEL) == 0) *r &= ~RED_REMOTE_IRR;
    send_level(io, pin);
}

void ioapic_write(struct ioapic *io, uint32_t offset, uint32_t value)
{
    if (offset == OFFSET_SELECT) {
        io->select = value & 0xFF;
    } else if (offset == OFFSET_EOI) {
        ioapic_eoi(io, (uint8_t)value);
    } else if (offset == OFFSET_WINDOW) {
        const uint32_t index = (io->select - REG_REDIRECTION) / 2;
        if (io->select == REG_ID) {
            io->id = value >> 24 & 0xF;
        } else if (io->select >= REG_REDIRECTION && index < IOAPIC_PINS) {
            write_redirection(io, index, io->select % 2 != 0, value);
        }
    }
}
