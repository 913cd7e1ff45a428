/* SPDX-License-Identifier: MIT
 *
 * Who runs next: vCPUs and the steward, by virtual time. Each CPU has a run queue ordered by the
 * CPU time its entities have used, divided by their weight; the least-served runs first.
 */
#ifndef TITHE_VM_SCHED_H
#define TITHE_VM_SCHED_H

#include "tithe/types.h"

/* The weight of one fair part. */
#define SCHED_WEIGHT 1024u

struct sched_entity {
    struct sched_entity *next; /* in the run queue, by ascending vtime */
    uint64_t vtime_ns;         /* CPU time used, scaled by SCHED_WEIGHT / weight */
    uint64_t cpu_ns;           /* CPU time used */
    uint32_t weight;
    uint32_t cpu; /* whose queue it belongs to */
    bool queued;
    bool steward; /* the steward; else a vCPU */
};

void sched_init(struct sched_entity *e, uint32_t cpu, uint32_t weight, bool steward);
/* Runnable again after a block: joins the queue with at most a small credit for the time it slept, and makes
 * whoever runs look up if it is now behind. No effect when queued already. */
void sched_wake(struct sched_entity *e);
/* Back into the queue after a turn. */
void sched_requeue(struct sched_entity *e);
/* Takes it out of the queue, if it is in. */
void sched_remove(struct sched_entity *e);
/* The next to run on this CPU, taken out of the queue; NULL when there is none. */
struct sched_entity *sched_pick(void);
bool sched_waiting(void);
/* Charges a turn of ns, or work done for it between turns: then it finds its new place in the queue. */
void sched_charge(struct sched_entity *e, uint64_t ns);

#endif
