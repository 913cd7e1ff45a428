/* SPDX-License-Identifier: MIT
 *
 * CMOS memory and real-time clock (MC146818A data sheet). It shows the host's wall clock; a guest
 * cannot set it. No alarm and no interrupts.
 */
#ifndef TITHE_DEV_CMOS_H
#define TITHE_DEV_CMOS_H

#include "tithe/types.h"

struct cmos {
    uint8_t index; /* port 0x70 bits 0-6 */
    uint8_t ram[128];
};

void cmos_init(struct cmos *c);
/* Ports 0x70 and 0x71; wall_ns since 1970. */
uint8_t cmos_read(struct cmos *c, uint16_t port, uint64_t wall_ns);
void cmos_write(struct cmos *c, uint16_t port, uint8_t value);

#endif
