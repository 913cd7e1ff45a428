/* SPDX-License-Identifier: MIT
 *
 * What long random runs against a reference have in common: where the run is, its random numbers, and its end at the first difference.
 */
#ifndef TITHE_TESTS_REFERENCE_H
#define TITHE_TESTS_REFERENCE_H

#include "tithe/types.h"

extern uint64_t seed, step;

/* Ends the program with seed and step unless `ok`. */
void check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Random numbers begin anew, by the seed. */
void random_begin(void);
uint64_t random_below(uint64_t limit);

#endif
