/* SPDX-License-Identifier: MIT
 *
 * Two cascaded 8259A interrupt controllers (Intel 8259A data sheet), as in a PC.
 */
#ifndef TITHE_DEV_PIC_H
#define TITHE_DEV_PIC_H

#include "tithe/types.h"

struct pic_chip {
    uint8_t irr, isr, imr;
    uint8_t lines;  /* level of every input */
    uint8_t elcr;   /* 1: level-triggered input */
    uint8_t base;   /* ICW2: vector of input 0 */
    uint8_t lowest; /* input with the lowest priority; 7 unless rotated */
    uint8_t init;   /* next initialisation word (2, 3, 4), 0 when ready */
    bool want_icw4, single, auto_eoi, rotate_auto, special_mask, read_isr, poll;
};

struct pic {
    struct pic_chip chip[2]; /* master, slave (on input 2 of the master) */
};

void pic_init(struct pic *pic);
/* Ports 0x20, 0x21, 0xA0, 0xA1, 0x4D0, 0x4D1. */
uint8_t pic_read(struct pic *pic, uint16_t port);
void pic_write(struct pic *pic, uint16_t port, uint8_t value);
void pic_line(struct pic *pic, uint32_t irq, bool level);
/* Vector that an acknowledge cycle would give now, or -1. */
int pic_pending(const struct pic *pic);
/* The acknowledge cycle. */
uint8_t pic_take(struct pic *pic);

#endif
