/* SPDX-License-Identifier: MIT
 *
 * Spin locks (lib/lock.h). A ticket lock would be fairer; locks here are held for microseconds by few CPUs.
 */
#include "lib/lock.h"
#include "lib/log.h"
#include "x86/cpu.h"
#include "x86/percpu.h"

void lock_acquire(struct lock *lock)
{
#ifdef TITHE_DEBUG
    struct percpu *cpu = this_cpu();

    if (cpu->locks_held >> lock->level != 0)
        panic("lock of level %u taken while levels 0x%x are held", lock->level, cpu->locks_held);
    cpu->locks_held |= 1u << lock->level;
#endif
    if (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE) == 0) return;
    __atomic_fetch_add(&lock->contended, 1, __ATOMIC_RELAXED);
    do {
        while (__atomic_load_n(&lock->taken, __ATOMIC_RELAXED) != 0) cpu_pause();
    } while (__atomic_exchange_n(&lock->taken, 1, __ATOMIC_ACQUIRE) != 0);
}

void lock_release(struct lock *lock)
{
#ifdef TITHE_DEBUG
    struct percpu *cpu = this_cpu();

    if (!(cpu->locks_held & 1u << lock->level)) panic("lock of level %u released, but not held", lock->level);
    cpu->locks_held &= ~(1u << lock->level);
#endif
    __atomic_store_n(&lock->taken, 0, __ATOMIC_RELEASE);
}
