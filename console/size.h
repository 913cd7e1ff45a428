/* SPDX-License-Identifier: MIT
 *
 * Sizes of memory as people write them, and back. Everything inside is in pages of 4 KiB.
 */
#ifndef CONSOLE_SIZE_H
#define CONSOLE_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define SIZE_FORMS "write a whole or decimal number with a unit: 96M, 1.5G, 4096K, or 100p for pages of 4 KiB"

/* Reads "96M", "1.5G", "4096K" (binary units, upper or lower case, optionally followed by iB or B) or "100p".
 * `what` names the value in errors. Zero, negative, unit-less, not whole pages or more than 2^50 bytes is
 * refused. */
enum status size_parse(const char *text, const char *what, uint64_t *pages, struct error *e);

/* Reads a plain whole number between min and max. */
enum status number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *value,
                         struct error *e);

/* "96M", "1.5G", "640K": at most one decimal, for people. Returns buf. */
char *size_text(uint64_t pages, char *buf, size_t n);

#endif
