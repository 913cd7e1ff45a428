/* SPDX-License-Identifier: MIT */
#include "x86/tsc_sync.h"
#include "x86/cpu.h"

#define ROUNDS 100u

/* Not before what was read before (SDM 2B RDTSC). */
static uint64_t read_tsc(void)
{
    __asm__ volatile("lfence" : : : "memory");
    return rdtsc();
}

static uint64_t farther(uint64_t back, uint64_t sent, uint64_t now)
{
    return sent > now && sent - now > back ? sent - now : back;
}

uint64_t tsc_sync_first(struct tsc_sync *s, uint64_t patience)
{
    uint64_t back = 0;

    for (uint32_t round = 0; round < ROUNDS; round++) {
        const uint64_t sent = s->stamp = read_tsc();
        __atomic_store_n(&s->turn, 2 * round + 1, __ATOMIC_RELEASE);
        while (__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) != 2 * round + 2) {
            if (rdtsc() - sent > patience) {
                __atomic_store_n(&s->abandoned, true, __ATOMIC_RELEASE);
                return TSC_SYNC_SILENT;
            }
            cpu_pause();
        }
        back = farther(back, s->stamp, read_tsc());
    }
    return back > s->back ? back : s->back;
}

void tsc_sync_second(struct tsc_sync *s)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        while (__atomic_load_n(&s->turn, __ATOMIC_ACQUIRE) != 2 * round + 1) {
            if (__atomic_load_n(&s->abandoned, __ATOMIC_ACQUIRE)) return;
            cpu_pause();
        }
        const uint64_t now = read_tsc() + s->skew;
        s->back = farther(s->back, s->stamp, now);
        s->stamp = now;
        __atomic_store_n(&s->turn, 2 * round + 2, __ATOMIC_RELEASE);
    }
}
