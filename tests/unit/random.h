/* SPDX-License-Identifier: MIT */
#ifndef TITHE_TESTS_RANDOM_H
#define TITHE_TESTS_RANDOM_H

#include "tithe/types.h"

/* xorshift64*; a state is not 0. */
static inline uint64_t random_from(uint64_t *state, uint64_t limit)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (*state * 0x2545f4914f6cdd1d >> 20) % limit;
}

#endif
