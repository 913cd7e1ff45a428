/* SPDX-License-Identifier: MIT
 *
 * An 8254 timer (Intel 8254 data sheet) and port 0x61. Channel 0 drives IRQ 0; channel 2 is what kernels
 * calibrate with; channel 1 counts and drives nothing. Ticks that pass while nobody polls are merged into one.
 */
#ifndef TITHE_DEV_PIT_H
#define TITHE_DEV_PIT_H

#include "tithe/types.h"

#define PIT_HZ 1193182u

struct platform;

struct pit_channel {
    uint8_t mode;               /* 0-5 */
    uint8_t access;             /* 1 low byte, 2 high byte, 3 low then high */
    bool write_high, read_high; /* the next byte is the high one */
    bool bcd;
    bool loaded; /* a count has been given since the mode was set */
    bool gate;
    bool running; /* loaded and, if its mode asks for it, triggered */
    bool count_latched, status_latched;
    uint8_t status;      /* latched */
    uint16_t latch;      /* latched count */
    uint16_t low;        /* low byte of a count half written */
    uint32_t reload;     /* 1-65536 ticks */
    uint64_t start_ns;   /* when counting began */
    uint64_t held_ticks; /* ticks counted before the gate closed */
};

struct pit {
    struct platform *platform;
    struct pit_channel channel[3];
    uint8_t speaker;  /* port 0x61 bits 0-1 */
    uint64_t next_ns; /* channel 0's next rising edge, NO_DEADLINE when none */
};

void pit_init(struct pit *pit, struct platform *platform, uint64_t now_ns);
/* Ports 0x40-0x43 and 0x61. */
uint8_t pit_read(struct pit *pit, uint16_t port, uint64_t now_ns);
void pit_write(struct pit *pit, uint16_t port, uint8_t value, uint64_t now_ns);
/* Raises IRQ 0 if its time has come; returns when to be called next. */
uint64_t pit_poll(struct pit *pit, uint64_t now_ns);

#endif
