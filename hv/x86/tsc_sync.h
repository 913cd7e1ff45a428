/* SPDX-License-Identifier: MIT
 *
 * Do the TSCs of two CPUs agree? They send each other messages with the time in them: one that arrives before it was sent tells that they do
 * not. Nothing else can: a difference smaller than the time that a message takes is never seen by anybody. So nothing is
 * tolerated that could be seen, and what remains is below some 100 ns, the way of a cache line. Of different speeds this says nothing.
 */
#ifndef TITHE_X86_TSC_SYNC_H
#define TITHE_X86_TSC_SYNC_H

#include "tithe/types.h"

struct tsc_sync {
    uint32_t turn;
    bool abandoned;
    uint64_t stamp; /* the message */
    uint64_t back;  /* the farthest step back that the second CPU has seen */
    uint64_t skew;  /* added to what the second one reads: for tests */
};

#define TSC_SYNC_SILENT UINT64_MAX

/* The first CPU's part: returns the farthest step back seen by either, in ticks, 0 for none; TSC_SYNC_SILENT when the other has not
 * answered for `patience` ticks. */
uint64_t tsc_sync_first(struct tsc_sync *s, uint64_t patience);
/* The second one's. */
void tsc_sync_second(struct tsc_sync *s);

#endif
