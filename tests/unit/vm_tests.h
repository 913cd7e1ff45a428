/* SPDX-License-Identifier: MIT
 *
 * The parts of the tests of hv/vm and hv/steward/core.
 */
#ifndef TITHE_TESTS_VM_TESTS_H
#define TITHE_TESTS_VM_TESTS_H

#include <stddef.h>

struct CMUnitTest;
extern const struct CMUnitTest call_tests[], mgmt_tests[], life_tests[];
extern const size_t call_test_count, mgmt_test_count, life_test_count;

#endif
