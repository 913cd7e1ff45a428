/* SPDX-License-Identifier: MIT
 *
 * The host's first serial port, 115200 8N1: log lines and frames, both ways. Everything works, doing nothing,
 * when there is no such port.
 */
#ifndef TITHE_DRV_SERIAL_H
#define TITHE_DRV_SERIAL_H

#include "lib/lock.h"
#include "tithe/types.h"

/* LOCK_LOG: the line and the log ring. */
extern struct lock serial_lock;

/* Output works from here on. */
void serial_init(void);
/* Input, and output in the background, work from here on; needs the I/O APIC. */
void serial_start(void);

/* Bytes that have arrived, up to `size`; 0 when none. */
size_t serial_rx(void *out, size_t size);
bool serial_rx_pending(void);
/* Bytes lost because nobody fetched them, or by the UART. */
uint64_t serial_rx_dropped(void);

/* Sends bytes as they are; no log line comes between them. Waits only when more is queued than the queue
 * holds, and never for ever. */
void serial_tx_frame(const void *bytes, size_t size);

/* With serial_lock held; or in a panic, which does not care. */
void serial_tx_locked(const void *bytes, size_t size);
/* Waits (bounded) until the transmitter is empty. */
void serial_drain(void);

#endif
