/* SPDX-License-Identifier: MIT
 *
 * Timers. Each CPU has a heap of them, by deadline, and fires its own from its loop, so that what waits for nothing
 * costs nothing. A timer lives in the heap of the CPU that set it last.
 */
#ifndef TITHE_VM_TIMER_H
#define TITHE_VM_TIMER_H

#include "tithe/types.h"

struct timer {
    uint64_t deadline_ns; /* NO_DEADLINE: not set. Others may read it without a lock, as a hint */
    void (*fire)(struct timer *timer, uint64_t now_ns); /* may set it again */
    uint32_t cpu;                                       /* whose heap; changes under that heap's lock */
    struct timer *child, *next, *prev;                  /* in the heap: vm/timer.c */
};

/* `fire` is called without locks on the CPU whose heap it is in. It may come once when the timer has just been set anew or
 * unset on another CPU: it looks, under the lock of what it belongs to, whether its time has really come. */
void timer_init(struct timer *timer, void (*fire)(struct timer *timer, uint64_t now_ns));
/* Fires at deadline_ns on this CPU; replaces what was set, on whatever CPU. NO_DEADLINE unsets it. For one timer the caller
 * serialises calls of this (for what belongs to a VM: the VM's device lock). If this comes first, percpu.timers_ns says
 * so: the CPU arms its hardware timer when it holds no lock. LOCK_TIMERS. */
void timer_set(struct timer *timer, uint64_t deadline_ns);
/* Unsets it and waits till no CPU is inside its `fire`: then what it is in may be freed. Nobody but `fire` may set it from now on.
 * No lock may be held; not from a `fire`. */
void timer_cancel(struct timer *timer);
/* Fires this CPU's timers whose time has come, each once and with no lock held; returns the next deadline. */
uint64_t timers_run(uint64_t now_ns);
/* How often somebody had to wait for the lock of this CPU's heap. */
uint64_t timers_contended(uint32_t cpu);

#endif
