/* SPDX-License-Identifier: MIT
 *
 * Spin locks with numbered levels. A CPU takes locks in ascending level only; debug builds check
 * it at run time. Levels are unique per kind of lock, so two locks of one kind are never
 * held together. What only the boot CPU touches (the set of VMs, their settings and life,
 * management, policies, the steward) needs none. The core runs with interrupts off, so a lock never needs to disable them.
 *
 * They are served in the order of arrival: a CPU that lets go and comes back at once, as a flood of exits does, cannot keep
 * another out.
 */
#ifndef TITHE_LIB_LOCK_H
#define TITHE_LIB_LOCK_H

#include <stdbool.h>
#include <stdint.h>

enum lock_level {
    LOCK_DEVICES = 1, /* one VM's device models, LAPICs among them, and the states of its vCPUs */
    LOCK_P2M,         /* one VM's second-level tables */
    LOCK_SHARE,       /* the hash table of shared pages and hints, and their counts */
    LOCK_SWAP,        /* slots and requests of host swap */
    LOCK_FRAME_CACHE, /* one CPU's stock of free frames */
    LOCK_FRAMES,      /* frame table and free lists */
    LOCK_DISK,        /* disk queues and controllers */
    LOCK_TIMERS,      /* one CPU's timers */
    LOCK_SCHED,       /* one CPU's run queue */
    LOCK_EVENTS,      /* event ring */
    LOCK_LOG,         /* log ring and the serial line */
    LOCK_LEVELS
};

struct lock {
    uint16_t next;      /* ticket of who comes next */
    uint16_t serving;   /* ticket of the holder; `next` when it is free */
    uint32_t level;     /* enum lock_level */
    uint64_t contended; /* times somebody had to wait */
};

#define LOCK_INIT(l)                                                                                         \
    {                                                                                                        \
        .level = (l)                                                                                         \
    }

/* Debug builds panic when a lock of the same or a higher level is held by this CPU, and when the lock does not come free. */
void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);

static inline uint64_t lock_contended(const struct lock *lock)
{
    return __atomic_load_n(&lock->contended, __ATOMIC_RELAXED);
}

static inline bool lock_is_free(const struct lock *lock)
{
    return __atomic_load_n(&lock->serving, __ATOMIC_RELAXED) ==
           __atomic_load_n(&lock->next, __ATOMIC_RELAXED);
}

#endif
