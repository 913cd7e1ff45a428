// SPDX-License-Identifier: MIT
// The content of a page as a function of its address, the seed, its version and its kind.
#ifndef MITE_PATTERN_H
#define MITE_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

void pattern_seed(uint32_t seed);

// Writes what page_kind() and page_version() call for.
void pattern_write(uint32_t page);

struct pattern_error {
    uint32_t address;
    uint32_t expected;
    uint32_t got;
};

// False with the first wrong word in `error`.
bool pattern_check(uint32_t page, struct pattern_error *error);

// Reads through the page as its kind was written, without judging what it finds.
void pattern_read(uint32_t page);

// A well-mixed function of `x`: the finaliser of MurmurHash3 (public domain, A. Appleby).
uint32_t mix(uint32_t x);

#endif
