/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static struct timespec now(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return t;
}

uint64_t clock_us(void)
{
    struct timespec t = now(CLOCK_MONOTONIC);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

void clock_sleep_ms(uint64_t ms)
{
    struct timespec t = {.tv_sec = (time_t)(ms / 1000u), .tv_nsec = (long)(ms % 1000u) * 1000000};
    nanosleep(&t, NULL);
}

int clock_print(void)
{
    struct timespec real = now(CLOCK_REALTIME), mono = now(CLOCK_MONOTONIC);
    printf("memload: clock realtime=%lld.%09ld monotonic=%lld.%09ld tsc=%llu\n", (long long)real.tv_sec,
           real.tv_nsec, (long long)mono.tv_sec, mono.tv_nsec, __builtin_ia32_rdtsc());
    return 0;
}

/* Sleeps 10 ms again and again: a guest that was paused shows it as a long gap between two ticks. */
int clock_ticks(uint64_t ms)
{
    uint64_t began = clock_us(), last = began, longest = 0, ticks = 0;
    while (last - began < ms * 1000u) {
        clock_sleep_ms(10);
        uint64_t t = clock_us();
        if (t - last > longest) longest = t - last;
        last = t;
        ticks++;
    }
    printf("memload: phase=ticks ticks=%" PRIu64 " ms=%" PRIu64 " longest_gap_us=%" PRIu64 "\n", ticks,
           (last - began) / 1000u, longest);
    return 0;
}
