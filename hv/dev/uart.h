/* SPDX-License-Identifier: MIT
 *
 * A 16550A (TL16C550C data sheet): the VM's console. Sending takes no time, so the transmitter is always empty.
 */
#ifndef TITHE_DEV_UART_H
#define TITHE_DEV_UART_H

#include "tithe/types.h"

#define UART_RING_BYTES  16384u /* a power of two */
#define UART_INPUT_BYTES 1024u  /* a power of two */
#define UART_LINE_BYTES  240u   /* longer output lines reach `line` in pieces of this size */
#define UART_PORT        0x3F8u

struct platform;

struct uart {
    struct platform *platform; /* for the interrupt line */
    uint8_t ier, lcr, mcr, msr_delta, scratch, dll, dlm;
    bool fifo;
    uint8_t trigger;   /* bytes at which "data available" replaces "character timeout" */
    bool thre_pending; /* "transmitter empty" has not been acknowledged */
    bool overrun;
    bool irq; /* level of the interrupt line */
    uint32_t input_head, input_count;
    uint64_t output_bytes; /* ever written by the guest */
    uint64_t line_start;   /* offset at which the unfinished line begins */
    /* Called with each finished output line (no newline, no carriage return) under the device lock; NULL: nobody listens. */
    void (*line)(void *ctx, const char *text, size_t bytes);
    void *line_ctx;
    uint8_t input[UART_INPUT_BYTES];
    uint8_t ring[UART_RING_BYTES]; /* the last bytes written, at offset % UART_RING_BYTES */
};

void uart_init(struct uart *u, struct platform *platform);
/* Registers as after power-on, input dropped; the console's ring and its offsets are kept. */
void uart_reset(struct uart *u);
/* reg: 0-7. */
uint8_t uart_read(struct uart *u, unsigned reg);
void uart_write(struct uart *u, unsigned reg, uint8_t value);

/* What the guest wrote, from *offset on; moves *offset up to the oldest byte still held, and down to the
 * end if it is past it. Copies up to `size` bytes, returns how many; *offset is not moved past them. */
size_t uart_console_read(const struct uart *u, uint64_t *offset, void *out, size_t size);
/* Offset that the next byte written by the guest will have. */
uint64_t uart_console_offset(const struct uart *u);
/* Input for the guest. Returns how many bytes were taken; the rest does not fit now. */
size_t uart_console_input(struct uart *u, const void *bytes, size_t size);

#endif
