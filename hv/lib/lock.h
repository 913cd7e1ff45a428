/* SPDX-License-Identifier: MIT
 *
 * Spin locks with numbered levels. A CPU takes locks in ascending level only; debug builds check
 * it at run time. Levels are unique per kind of lock, so two locks of one kind are never
 * held together. The core runs with interrupts off, so a lock never needs to disable them.
 */
#ifndef TITHE_LIB_LOCK_H
#define TITHE_LIB_LOCK_H

#include <stdint.h>

enum lock_level {
    LOCK_VM_LIST = 1, /* the set of VMs */
    LOCK_VM,          /* one VM: settings, life cycle */
    LOCK_DEVICES,     /* one VM's device models */
    LOCK_P2M,         /* one VM's second-level tables */
    LOCK_FRAMES,      /* frame table and free lists */
    LOCK_SCHED,       /* run queues */
    LOCK_POLICY,      /* stored policy sources */
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
