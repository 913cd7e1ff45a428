/* SPDX-License-Identifier: MIT
 *
 * Log lines: to the serial line and to a ring that the console reads. Each call is one whole line
 * (the newline is added); unprintable bytes are shown as '?', so a log never looks like a frame.
 */
#ifndef TITHE_LIB_LOG_H
#define TITHE_LIB_LOG_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* printf subset: %c %s %.*s %d %i %u %x %X %p %% with l, ll, z, width, 0 and - flags. */
void log_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Writes at most size bytes with the final NUL; returns the length it would have had. */
int fmt_string(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int fmt_vstring(char *out, size_t size, const char *fmt, va_list args);

/* Copies up to size bytes that were logged from *offset on; moves *offset up to the first
 * byte still held. Returns the bytes copied. */
size_t log_read(uint64_t *offset, void *out, size_t size);
uint64_t log_offset(void);

/* For panic alone: takes no lock, so that it also works when the lock's holder is what went wrong. */
void log_line_panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The machine is wrong: prints why, registers, a backtrace with symbols and the last events, and stops
 * the host with a failing status. Not for bad input: that gets an error or costs a VM. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#ifdef TITHE_DEBUG
#define ASSERT(c) ((c) ? (void)0 : panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #c))
#else
#define ASSERT(c) ((void)sizeof(!(c)))
#endif

#endif
