/* SPDX-License-Identifier: MIT */
#include "vm/sched.h"

#include "lib/lock.h"
#include "x86/percpu.h"

/* How much earlier than the least-served runnable one a woken entity may place itself: enough for
 * a short reaction, too little to starve anybody. */
#define WAKE_CREDIT_NS 2000000u

struct run_queue {
    struct lock lock;
    struct sched_entity *head;
    uint64_t vtime_ns; /* of the last one picked: the queue's clock */
};

static struct run_queue queues[CPUS_MAX] = {[0 ... CPUS_MAX - 1] = {.lock = LOCK_INIT(LOCK_SCHED)}};

void sched_init(struct sched_entity *e, uint32_t cpu, uint32_t weight, bool steward)
{
    *e = (struct sched_entity){
        .weight = weight, .cpu = cpu, .steward = steward, .vtime_ns = queues[cpu].vtime_ns};
}

static void insert(struct run_queue *q, struct sched_entity *e)
{
    struct sched_entity **at = &q->head;
    while (*at != NULL && (*at)->vtime_ns <= e->vtime_ns) {
        at = &(*at)->next;
    }
    e->next = *at;
    *at = e;
    e->queued = true;
}

void sched_wake(struct sched_entity *e)
{
    struct run_queue *q = &queues[e->cpu];
    lock_acquire(&q->lock);
    if (!e->queued) {
        const uint64_t floor = q->vtime_ns > WAKE_CREDIT_NS ? q->vtime_ns - WAKE_CREDIT_NS : 0;
        if (e->vtime_ns < floor) {
            e->vtime_ns = floor;
        }
        insert(q, e);
        if (q->head == e) {
            percpu_of(e->cpu)->resched = true;
        }
    }
    lock_release(&q->lock);
}

void sched_requeue(struct sched_entity *e)
{
    struct run_queue *q = &queues[e->cpu];
    lock_acquire(&q->lock);
    if (!e->queued) {
        insert(q, e);
    }
    lock_release(&q->lock);
}

void sched_remove(struct sched_entity *e)
{
    struct run_queue *q = &queues[e->cpu];
    lock_acquire(&q->lock);
    if (e->queued) {
        struct sched_entity **at = &q->head;
        while (*at != e) {
            at = &(*at)->next;
        }
        *at = e->next;
        e->queued = false;
    }
    lock_release(&q->lock);
}

struct sched_entity *sched_pick(void)
{
    struct run_queue *q = &queues[this_cpu()->index];
    lock_acquire(&q->lock);
    struct sched_entity *e = q->head;
    if (e != NULL) {
        q->head = e->next;
        e->queued = false;
        if (e->vtime_ns > q->vtime_ns) {
            q->vtime_ns = e->vtime_ns;
        }
    }
    lock_release(&q->lock);
    return e;
}

bool sched_waiting(void)
{
    return queues[this_cpu()->index].head != NULL;
}

void sched_charge(struct sched_entity *e, uint64_t ns)
{
    const bool queued = e->queued;
    if (queued) {
        sched_remove(e);
    }
    e->cpu_ns += ns;
    e->vtime_ns += ns * SCHED_WEIGHT / e->weight;
    if (queued) {
        sched_requeue(e);
    }
}
