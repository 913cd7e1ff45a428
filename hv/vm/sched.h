/* SPDX-License-Identifier: MIT
 *
 * Who runs next: vCPUs, the steward and the worker (vm/work.h), by virtual time, which is CPU time divided by weight. Each CPU has a queue; the
 * least-served runs first. Virtual time means the same on all CPUs, so a CPU that finds somebody in another's queue who is
 * behind its own best by more than a few slices (or finds its own queue empty) takes that one: this keeps CPUs busy
 * and shares proportional over the whole machine.
 *
 * An entity is in a queue, on a CPU (from sched_next to sched_put), or neither. Only under its queue's lock does it change place.
 */
#ifndef TITHE_VM_SCHED_H
#define TITHE_VM_SCHED_H

#include "tithe/types.h"

/* The weight of one fair part: a VM of 1000 CPU shares and one vCPU. So an eighth of one share has three digits yet. */
#define SCHED_WEIGHT (1u << 20)

enum sched_kind { SCHED_VCPU, SCHED_STEWARD, SCHED_WORKER };

struct sched_entity {
    struct sched_entity *next; /* in the run queue, by ascending vtime */
    uint64_t vtime;            /* CPU time used, by weight: 64 ns for SCHED_WEIGHT are 1 */
    uint64_t cpu_ns;           /* CPU time used */
    uint32_t weight;
    uint32_t rest; /* of vtime: what the division by the weight has left, in 1/weight */
    uint32_t cpu;  /* whose queue it is in, or goes to when woken; where it runs while on_cpu */
    bool queued;
    bool on_cpu; /* between sched_next and sched_put */
    bool woken;  /* while on_cpu: sched_put queues it whatever it says */
    bool pinned; /* never leaves `cpu` (the steward) */
    enum sched_kind kind;
};

/* Not open: this CPU is for who is pinned to it alone. Boot CPU, while nobody is in a queue or on a CPU; at least one stays open. */
void sched_set_open(uint32_t cpu, bool open);
/* Starts where those are who wait now: at the clock. The steward is pinned to `cpu`; others only start there, or on
 * another if that is reserved. weight > 0. */
void sched_init(struct sched_entity *e, uint32_t cpu, uint32_t weight, enum sched_kind kind);
/* Runnable (again): joins a queue, its CPU's or that of an idle one, with at most a small credit for the time it slept,
 * and makes that CPU look up (smp_kick_later) if it is idle or runs somebody less deserving. On a CPU just now: sched_put will queue it.
 * No effect when queued already. */
void sched_wake(struct sched_entity *e);
/* The next to run on this CPU, taken out of its queue and on_cpu from now on; `current` (NULL: none, or blocked) competes and may be
 * the answer. NULL: nobody is runnable anywhere that this CPU could take. */
struct sched_entity *sched_next(struct sched_entity *current);
/* e's turns on this CPU are over and nothing of it is left in the CPU: it joins the queue again if `runnable` or woken meanwhile (a
 * wake that its last turn has dealt with brings one more turn: look whether it can run). With false, e may be gone on return. */
void sched_put(struct sched_entity *e, bool runnable);
/* Takes it out of any queue and waits till it is on no CPU (kicking that CPU). The caller has made sure that nobody wakes it from now on.
 * Boot CPU only, no lock held; not for an entity that is on this CPU. */
void sched_sync(struct sched_entity *e);
/* Before each turn, after sched_next and sched_put: somebody waits whom this CPU could run, so that a slice is worth ending. Sees to
 * it that other CPUs help. False: the turn may last, for this CPU is kicked as soon as somebody comes to wait. */
bool sched_waiting(void);
/* Charges ns of CPU time to an entity that is on this CPU, or (work done for it between turns) to any. */
void sched_charge(struct sched_entity *e, uint64_t ns);
/* Changes the weight, from now on. */
void sched_set_weight(struct sched_entity *e, uint32_t weight);
/* How often somebody had to wait for the lock of this CPU's queue. */
uint64_t sched_contended(uint32_t cpu);
/* This CPU is about to halt: from now on wakes choose it and kick it. False: something came meanwhile, do not halt. */
MUST_CHECK bool sched_idle_begin(void);
void sched_idle_end(void);

#endif
