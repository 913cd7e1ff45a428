/* SPDX-License-Identifier: MIT
 *
 * The parts of the tests of scheduler and timers.
 */
#ifndef TITHE_TESTS_SCHED_TESTS_H
#define TITHE_TESTS_SCHED_TESTS_H

#include <stddef.h>
#include <stdint.h>

#define MS 1000000ull

struct CMUnitTest;
extern const struct CMUnitTest rule_tests[], model_tests[], fair_tests[], timer_tests[];
extern const size_t rule_test_count, model_test_count, fair_test_count, timer_test_count;

/* xorshift64*; the same every time. */
static inline uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * 2685821657736338717ull >> 16;
}

#endif
