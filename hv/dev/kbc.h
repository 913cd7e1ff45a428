/* SPDX-License-Identifier: MIT
 *
 * An 8042 keyboard controller as far as kernels use it to reset the machine or to open A20 (which is always
 * open), with a keyboard that acknowledges and never sends a key. It raises no interrupts.
 */
#ifndef TITHE_DEV_KBC_H
#define TITHE_DEV_KBC_H

#include "tithe/types.h"

struct kbc {
    uint8_t command; /* command that waits for its data byte, else 0 */
    uint8_t config;
    uint8_t out[4]; /* bytes for the CPU, oldest first */
    uint8_t out_count;
};

void kbc_init(struct kbc *k);
/* Ports 0x60 and 0x64. */
uint8_t kbc_read(struct kbc *k, uint16_t port);
/* True: the guest asks for a reset. */
bool kbc_write(struct kbc *k, uint16_t port, uint8_t value);

#endif
