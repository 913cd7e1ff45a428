/* SPDX-License-Identifier: MIT
 *
 * Chance, the same every time: xorshift64*.
 */
#ifndef TITHE_TESTS_SCHED_RANDOM_H
#define TITHE_TESTS_SCHED_RANDOM_H

#include <stdint.h>

#define MS 1000000ull

static inline uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 2685821657736338717ull >> 16;
}

#endif
