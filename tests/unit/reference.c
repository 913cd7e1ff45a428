/* SPDX-License-Identifier: MIT */
#include "reference.h"

#include "random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t seed, step;
static uint64_t random_state;

void check(bool ok, const char *fmt, ...)
{
    va_list args;

    if (ok) return;
    printf("# seed %lu, step %lu: ", seed, step);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\nnot ok - agrees with the reference\n");
    exit(1);
}

void random_begin(void)
{
    random_state = seed * 2 + 1;
}

uint64_t random_below(uint64_t limit)
{
    return random_from(&random_state, limit);
}
