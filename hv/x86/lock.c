/* SPDX-License-Identifier: MIT
 *
 * Ticket locks (lib/lock.h).
 */
#include "lib/lock.h"
#include "lib/log.h"
#include "x86/cpu.h"
#include "x86/percpu.h"

/* Locks are held for microseconds. So many rounds of waiting are seconds, on emulators and on CPUs alike: two CPUs
 * wait for each other, or the holder forgot. */
#define ROUNDS_MAX (1u << 28)

static __attribute__((noinline)) void wait(struct lock *lock, uint16_t ticket)
{
    __atomic_fetch_add(&lock->contended, 1, __ATOMIC_RELAXED);
    for (uint32_t rounds = 0; __atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket; rounds++) {
#ifdef TITHE_DEBUG
        if (rounds == ROUNDS_MAX)
            panic("lock of level %u does not come free; levels held here: 0x%x", lock->level,
                  this_cpu()->locks_held);
#else
        (void)rounds;
#endif
        cpu_pause();
    }
}

void lock_acquire(struct lock *lock)
{
#ifdef TITHE_DEBUG
    struct percpu *cpu = this_cpu();

    if (cpu->locks_held >> lock->level != 0)
        panic("lock of level %u taken while levels 0x%x are held", lock->level, cpu->locks_held);
    cpu->locks_held |= 1u << lock->level;
#endif
    const uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    if (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket) wait(lock, ticket);
}

void lock_release(struct lock *lock)
{
#ifdef TITHE_DEBUG
    struct percpu *cpu = this_cpu();

    if (!(cpu->locks_held & 1u << lock->level)) panic("lock of level %u released, but not held", lock->level);
    cpu->locks_held &= ~(1u << lock->level);
#endif
    /* Written by the holder alone. */
    __atomic_store_n(&lock->serving, (uint16_t)(lock->serving + 1), __ATOMIC_RELEASE);
}
