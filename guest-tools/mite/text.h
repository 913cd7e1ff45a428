// SPDX-License-Identifier: MIT
// Pieces of the command line and the numbers in them. Nothing here copies.
#ifndef MITE_TEXT_H
#define MITE_TEXT_H

#include <stdbool.h>
#include <stdint.h>

struct span {
    const char *at;
    uint32_t length;
};

struct span span_of(const char *text);
bool span_is(struct span span, const char *text);
bool span_starts(struct span span, const char *text);

// The rest after the first `count` bytes, of which there must be as many.
struct span span_skip(struct span span, uint32_t count);

// The position of `wanted`, or the span's length.
uint32_t span_find(struct span span, char wanted);

// All of the following take the whole span, and are false if it is anything else or too large.

// Decimal, or hexadecimal after 0x.
bool parse_number(struct span span, uint64_t *value);

// A number of bytes with K, M, G (powers of 1024) or p (pages) after it, rounded up to pages.
bool parse_pages(struct span span, uint32_t *page_count);

// At least a page, with /s after it.
bool parse_rate(struct span span, uint32_t *pages_per_second);

// A number with us, ms or s after it.
bool parse_us(struct span span, uint64_t *us);

// 0 to 1 with up to six decimals, in millionths.
bool parse_millionths(struct span span, uint32_t *millionths);

#endif
