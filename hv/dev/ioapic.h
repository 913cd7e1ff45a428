/* SPDX-License-Identifier: MIT
 *
 * An IOAPIC with 24 pins (82093AA data sheet; the EOI register of version 0x20).
 */
#ifndef TITHE_DEV_IOAPIC_H
#define TITHE_DEV_IOAPIC_H

#include "tithe/types.h"

#define IOAPIC_PINS 24u

struct platform;

struct ioapic {
    struct platform *platform; /* for messages to LAPICs */
    uint32_t select;
    uint32_t id;
    uint32_t lines; /* level of every pin, one bit each */
    uint64_t redirection[IOAPIC_PINS];
};

void ioapic_init(struct ioapic *io, struct platform *platform);
/* offset within the 4 KiB window; 32-bit registers. */
uint32_t ioapic_read(struct ioapic *io, uint32_t offset);
void ioapic_write(struct ioapic *io, uint32_t offset, uint32_t value);
void ioapic_line(struct ioapic *io, uint32_t pin, bool level);
/* A LAPIC ended a level-triggered interrupt of this vector. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

#endif
