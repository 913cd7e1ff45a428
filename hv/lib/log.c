/* SPDX-License-Identifier: MIT
 *
 * The log: a ring for the console to read, and the serial line.
 */
#include "drv/serial.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "lib/string.h"
#include "tithe/types.h"

#define RING_BYTES     65536u
#define LINE_MAX_BYTES 512u

static char ring[RING_BYTES];
static uint64_t written; /* bytes ever logged */

static void ring_put(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) ring[(written + i) % RING_BYTES] = bytes[i];
    written += size;
}

/* Formats one line with its newline. Returns its length. */
static size_t make_line(char line[LINE_MAX_BYTES], const char *fmt, va_list args)
{
    int wanted = fmt_vstring(line, LINE_MAX_BYTES - 1, fmt, args);
    size_t length = (size_t)wanted < LINE_MAX_BYTES - 2 ? (size_t)wanted : LINE_MAX_BYTES - 2;

    for (size_t i = 0; i < length; i++)
        if (line[i] < ' ' || line[i] > '~') line[i] = '?';
    line[length++] = '\n';
    return length;
}

void log_line(const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, fmt);
    size_t length = make_line(line, fmt, args);
    va_end(args);

    lock_acquire(&serial_lock);
    ring_put(line, length);
    serial_tx_locked(line, length);
    lock_release(&serial_lock);
}

void log_line_panic(const char *fmt, ...)
{
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, fmt);
    size_t length = make_line(line, fmt, args);
    va_end(args);
    ring_put(line, length);
    serial_tx_locked(line, length);
}

size_t log_read(uint64_t *offset, void *out, size_t size)
{
    char *to = out;
    size_t n = 0;

    lock_acquire(&serial_lock);
    uint64_t oldest = written > RING_BYTES ? written - RING_BYTES : 0;
    if (*offset < oldest) *offset = oldest;
    while (n < size && *offset + n < written) {
        to[n] = ring[(*offset + n) % RING_BYTES];
        n++;
    }
    lock_release(&serial_lock);
    return n;
}

uint64_t log_offset(void)
{
    return __atomic_load_n(&written, __ATOMIC_RELAXED);
}
