/* SPDX-License-Identifier: MIT
 *
 * Spin locks with numbered levels. A CPU takes locks in ascending level only; debug builds check
 * it at run time. Levels are unique per kind of lock, so two locks of one kind are never
 * held together. What only the boot CPU touches (the set of VMs, their settings and life,
 * management, policies, the steward) needs none. The core runs with interrupts off, so a lock never needs to disable them.
 */
#ifndef TITHE_LIB_LOCK_H
#define TITHE_LIB_LOCK_H

#include <stdint.h>

enum lock_level {
    LOCK_DEVICES = 1, /* one VM's device models, LAPICs among them, and the states of its vCPUs */
    LOCK_P2M,         /* one VM's second-level tables */
    LOCK_FRAME_CACHE, /* one CPU's stock of free frames */
    LOCK_FRAMES,      /* frame table and free lists */
    LOCK_TIMERS,      /* one CPU's timers */
    LOCK_SCHED,       /* one CPU's run queue */
    LOCK_EVENTS,      /* event ring */
    LOCK_LOG,         /* log ring and the serial line */
    LOCK_LEVELS
};

struct lock {
    uint32_t taken;
    uint32_t level;     /* enum lock_level */
    uint64_t contended; /* times somebody had to wait */
};

#define LOCK_INIT(l)                                                                                         \
    {                                                                                                        \
        .taken = 0, .level = (l), .contended = 0                                                             \
    }

/* Panics in debug builds when a lock of the same or a higher level is held by this CPU. */
void lock_acquire(struct lock *lock);
void lock_release(struct lock *lock);

#endif
