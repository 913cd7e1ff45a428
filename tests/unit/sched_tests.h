/* SPDX-License-Identifier: MIT
 *
 * The parts of the tests of scheduler and timers.
 */
#ifndef TITHE_TESTS_SCHED_TESTS_H
#define TITHE_TESTS_SCHED_TESTS_H

#include "sched_random.h"

#include <stddef.h>

struct CMUnitTest;
extern const struct CMUnitTest rule_tests[], model_tests[], fair_tests[], timer_tests[];
extern const size_t rule_test_count, model_test_count, fair_test_count, timer_test_count;

#endif
