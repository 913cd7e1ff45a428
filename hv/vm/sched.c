/* SPDX-License-Identifier: MIT
 *
 * Start-time fair queueing (Goyal, Vin, Cheng 1996) over several CPUs, with stealing, and with a clock that weights which no
 * CPU can serve do not hold back.
 *
 * Virtual time advances by CPU time * (SCHED_WEIGHT / VTIME_NS) / weight; what the division leaves is carried over, so that
 * short turns of heavy entities count. Weights are from an eighth of one CPU share to a million shares, 2^7 to 2^30: so one unit is at
 * most 65 us of CPU time, and the lightest of all, alone on a CPU, comes to the end of 64 bits after four and a half years. There
 * it stays, and those at the end take turns regardless of weight.
 */
#include "vm/sched.h"

#include "lib/lock.h"
#include "lib/log.h"
#include "vm/run.h"
#include "x86/cpu.h"
#include "x86/percpu.h"
#include "x86/smp.h"

#define VTIME_NS 64u /* of CPU time for SCHED_WEIGHT: one unit */

/* A CPU leaves alone who waits elsewhere until its own best is this much further. After one slice two CPUs with an odd entity
 * between them would pass it to and fro each time, cold caches and all; after many it would be noticed that shares are not kept. Those
 * heavier than SCHED_WEIGHT get ahead less in a slice, and so does the limit for them. */
#define STEAL_LAG_SLICES 2u

/* What a sleeper may have saved up when it wakes: enough to run at once. One slice more than who waits may be behind, so
 * that a weight that no CPU can serve is not taken for one that had its part. */
#define CREDIT_SLICES 3u

/* A woken entity ends the turn of one that is this much further: less is not worth a switch. */
#define PREEMPT_LAG (500000u / VTIME_NS)

struct run_queue {
    struct lock lock;
    struct sched_entity *head; /* by ascending vtime */
    uint64_t best; /* vtime of the first that is not pinned, NOBODY: none. Written under the lock */
    bool alone;    /* sched_waiting found nobody. Its CPU's own */
} __attribute__((aligned(64)));

#define NOBODY    UINT64_MAX
#define VTIME_END (UINT64_MAX - 1)

static struct run_queue queues[CPUS_MAX] = {
    [0 ... CPUS_MAX - 1] = {.lock = LOCK_INIT(LOCK_SCHED), .best = NOBODY}};

/* CPUs, a bit each, that want to be told when somebody comes to wait: because they halt, and because they run somebody without a
 * slice. They set their bit and then look at the queues; who queues somebody does that and then looks at the bits. With
 * all four accesses in one total order (sequentially consistent), one of the two sees the other. Who clears another's bit kicks it. */
static uint64_t idle_cpus, alone_cpus;

/* CPUs, a bit each, that run others than those pinned to them. */
static uint64_t open_cpus = UINT64_MAX;

/* The clock: who waits is ahead of it, and nobody keeps a claim from before it.
 *
 * It is the greatest vtime with which anybody was given a turn, less the credit. He was the least served of all who waited, up
 * to the lag for stealing, so nobody who waits can be behind it. Only those can be who did not wait: they slept, or they ran all the
 * time and yet not enough for their weight (one vCPU of a VM with most of all CPU shares, on two CPUs). The latter would for ever hold
 * back a clock that is the least vtime of all, and then claim weeks. Both are moved up, which takes nothing from them that they
 * could have used. */
static uint64_t clock_vtime;

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t slices(uint32_t weight, uint32_t n)
{
    return n * run_slice_ns() * (SCHED_WEIGHT / VTIME_NS) / weight;
}

static void raise_clock(const struct sched_entity *e)
{
    const uint64_t to = less(e->vtime, slices(e->weight, CREDIT_SLICES));
    uint64_t now = __atomic_load_n(&clock_vtime, __ATOMIC_RELAXED);
    while (now < to &&
           !__atomic_compare_exchange_n(&clock_vtime, &now, to, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

static void catch_up(struct sched_entity *e, uint64_t behind)
{
    const uint64_t to = less(__atomic_load_n(&clock_vtime, __ATOMIC_RELAXED), behind);
    if (e->vtime < to) {
        e->vtime = to;
    }
}

/* ---- queues: under their lock ---- */

static void publish(struct run_queue *q)
{
    const struct sched_entity *e = q->head;
    while (e != NULL && e->pinned) {
        e = e->next;
    }
    __atomic_store_n(&q->best, e == NULL ? NOBODY : e->vtime, __ATOMIC_SEQ_CST);
}

static void insert(struct run_queue *q, struct sched_entity *e)
{
    struct sched_entity **at = &q->head;
    while (*at != NULL && (*at)->vtime <= e->vtime) {
        at = &(*at)->next;
    }
    e->next = *at;
    *at = e;
    e->queued = true;
    publish(q);
}

static void take_out(struct run_queue *q, struct sched_entity *e)
{
    struct sched_entity **at = &q->head;
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    e->queued = false;
    publish(q);
}

/* The queue of e's CPU, locked. Another CPU may steal e until the lock is held: e->cpu changes only under its old queue's lock, and last of
 * all, for whoever has the lock of the new one then sees the rest (release, acquire). */
static struct run_queue *lock_queue_of(const struct sched_entity *e)
{
    for (;;) {
        const uint32_t cpu = __atomic_load_n(&e->cpu, __ATOMIC_RELAXED);
        lock_acquire(&queues[cpu].lock);
        if (__atomic_load_n(&e->cpu, __ATOMIC_ACQUIRE) == cpu) {
            return &queues[cpu];
        }
        lock_release(&queues[cpu].lock);
    }
}

/* ---- telling other CPUs ---- */

static void kick(uint32_t cpu)
{
    __atomic_store_n(&percpu_of(cpu)->resched, true, __ATOMIC_RELEASE);
    smp_kick_later(cpu);
}

static bool has(const uint64_t *cpus, uint32_t cpu)
{
    return (__atomic_load_n(cpus, __ATOMIC_SEQ_CST) >> cpu & 1) != 0;
}

static void add(uint64_t *cpus, uint32_t cpu)
{
    __atomic_fetch_or(cpus, 1ull << cpu, __ATOMIC_SEQ_CST);
}

/* False when somebody else was first. */
static bool claim(uint64_t *cpus, uint32_t cpu)
{
    return has(cpus, cpu) && (__atomic_fetch_and(cpus, ~(1ull << cpu), __ATOMIC_SEQ_CST) >> cpu & 1) != 0;
}

static uint64_t open_of(const uint64_t *cpus)
{
    return __atomic_load_n(cpus, __ATOMIC_SEQ_CST) & __atomic_load_n(&open_cpus, __ATOMIC_RELAXED);
}

/* The last one, for the boot CPU has other things to do as well; CPUS_MAX: none. */
static uint32_t last_of(uint64_t cpus)
{
    return cpus == 0 ? CPUS_MAX : 63 - (uint32_t)__builtin_clzll(cpus);
}

/* Somebody waits whom any open CPU could run: one that halts takes him, or else all that run somebody share from now on. */
static void tell(void)
{
    uint32_t to;
    while ((to = last_of(open_of(&idle_cpus))) != CPUS_MAX) {
        if (claim(&idle_cpus, to)) {
            kick(to);
            return;
        }
    }
    while ((to = last_of(open_of(&alone_cpus))) != CPUS_MAX) {
        if (claim(&alone_cpus, to)) {
            kick(to);
        }
    }
}

enum waiting { NONE_WAITS, PINNED_WAITS, ANY_WAITS };

/* Whether somebody waits whom this CPU could run, and whether others could, too. */
static enum waiting who_waits(uint32_t me)
{
    for (uint32_t cpu = 0; cpu < percpu_count() && has(&open_cpus, me); cpu++) {
        if (__atomic_load_n(&queues[cpu].best, __ATOMIC_SEQ_CST) != NOBODY) {
            return ANY_WAITS;
        }
    }
    lock_acquire(&queues[me].lock);
    const bool found = queues[me].head != NULL;
    lock_release(&queues[me].lock);
    return found ? PINNED_WAITS : NONE_WAITS;
}

/* ---- the life of an entity ---- */

void sched_set_open(uint32_t cpu, bool open)
{
    if (open) {
        add(&open_cpus, cpu);
    } else {
        (void)claim(&open_cpus, cpu);
    }
}

void sched_init(struct sched_entity *e, uint32_t cpu, uint32_t weight, enum sched_kind kind)
{
    ASSERT(weight > 0);
    if (kind != SCHED_STEWARD && !has(&open_cpus, cpu)) {
        cpu = percpu_count() - 1;
    }
    *e = (struct sched_entity){.weight = weight, .cpu = cpu, .kind = kind, .pinned = kind == SCHED_STEWARD};
    catch_up(e, 0);
}

void sched_wake(struct sched_entity *e)
{
    struct run_queue *q = lock_queue_of(e);
    const uint32_t idle = last_of(open_of(&idle_cpus));
    if (!e->queued && !e->on_cpu && !e->pinned && idle != CPUS_MAX && !has(&idle_cpus, e->cpu)) {
        __atomic_store_n(&e->cpu, idle, __ATOMIC_RELEASE);
        lock_release(&q->lock);
        q = lock_queue_of(e);
    }
    if (e->queued || e->on_cpu) {
        e->woken = e->on_cpu;
        lock_release(&q->lock);
        return;
    }
    catch_up(e, 0);
    insert(q, e);
    const uint32_t cpu = e->cpu;
    const bool pinned = e->pinned;
    const bool preempts = less(percpu_of(cpu)->running_vtime, e->vtime) > PREEMPT_LAG;
    lock_release(&q->lock);
    if (claim(&idle_cpus, cpu) || preempts || claim(&alone_cpus, cpu)) {
        kick(cpu);
    } else if (!pinned) {
        tell();
    }
}

/* The first in `from` that may leave it and is behind `limit`, on this CPU now. NULL: somebody else was first. */
static struct sched_entity *steal(struct run_queue *from, uint64_t limit, uint32_t me)
{
    lock_acquire(&from->lock);
    struct sched_entity *e = from->head;
    while (e != NULL && e->pinned) {
        e = e->next;
    }
    if (e != NULL && e->vtime >= limit) {
        e = NULL;
    }
    if (e != NULL) {
        take_out(from, e);
        e->on_cpu = true;
        __atomic_store_n(&e->cpu, me, __ATOMIC_RELEASE);
    }
    lock_release(&from->lock);
    return e;
}

/* The other queue with the best that is behind `limit`; NULL: none. */
static struct run_queue *queue_behind(uint64_t limit, uint32_t me)
{
    struct run_queue *found = NULL;
    for (uint32_t cpu = 0; cpu < percpu_count() && has(&open_cpus, me); cpu++) {
        const uint64_t best = __atomic_load_n(&queues[cpu].best, __ATOMIC_RELAXED);
        if (cpu != me && best < limit) {
            found = &queues[cpu];
            limit = best;
        }
    }
    return found;
}

static uint64_t steal_limit(const struct sched_entity *own)
{
    if (own == NULL) {
        return NOBODY;
    }
    return less(own->vtime,
                slices(own->weight > SCHED_WEIGHT ? own->weight : SCHED_WEIGHT, STEAL_LAG_SLICES));
}

struct sched_entity *sched_next(struct sched_entity *current)
{
    struct percpu *cpu = this_cpu();
    struct run_queue *q = &queues[cpu->index], *other;
    struct sched_entity *e;
    lock_acquire(&q->lock);
    if (current != NULL) {
        if (q->alone) {
            /* It may have run for long without a slice, and who woke meanwhile did not see its time on the clock. */
            raise_clock(current);
        }
        /* By as much again, lest it end up among those who wait. */
        catch_up(current, slices(current->weight, CREDIT_SLICES));
    }
    q->alone = false;
    for (;;) {
        e = q->head;
        if (e == NULL || (current != NULL && current->vtime <= e->vtime)) {
            e = current;
        }
        const uint64_t limit = steal_limit(e);
        other = queue_behind(limit, cpu->index);
        if (other == NULL) {
            break;
        }
        lock_release(&q->lock);
        e = steal(other, limit, cpu->index);
        lock_acquire(&q->lock);
        if (e != NULL) {
            break;
        }
    }
    cpu->running_vtime = NOBODY;
    if (e != NULL) {
        if (e->queued) {
            take_out(q, e);
            e->on_cpu = true;
        }
        e->woken = false;
        catch_up(e, 0);
        raise_clock(e);
        cpu->running_vtime = e->vtime;
    }
    lock_release(&q->lock);
    return e;
}

void sched_put(struct sched_entity *e, bool runnable)
{
    struct run_queue *q = &queues[this_cpu()->index];
    lock_acquire(&q->lock);
    ASSERT(e->on_cpu && e->cpu == this_cpu()->index);
    e->on_cpu = false;
    if (runnable || e->woken) {
        insert(q, e);
    }
    e->woken = false;
    lock_release(&q->lock); /* from here on e may be gone: sched_sync */
}

void sched_sync(struct sched_entity *e)
{
    enum { PAUSES = 1000 };
    for (;;) {
        struct run_queue *q = lock_queue_of(e);
        if (e->queued) {
            take_out(q, e);
        }
        const bool on_cpu = e->on_cpu;
        const uint32_t cpu = e->cpu;
        lock_release(&q->lock);
        if (!on_cpu) {
            return;
        }
        kick(cpu);
        smp_send_kicks();
        for (unsigned i = 0; i < PAUSES; i++) {
            cpu_pause();
        }
    }
}

bool sched_waiting(void)
{
    const uint32_t me = this_cpu()->index;
    if (!has(&alone_cpus, me)) {
        add(&alone_cpus, me);
    }
    const enum waiting who = who_waits(me);
    queues[me].alone = who == NONE_WAITS;
    if (who != NONE_WAITS) {
        (void)claim(&alone_cpus, me);
    }
    if (who == ANY_WAITS) {
        tell(); /* if one takes somebody else than he was told about, or this CPU has put one back to run another */
    }
    return who != NONE_WAITS;
}

void sched_charge(struct sched_entity *e, uint64_t ns)
{
    struct run_queue *q = lock_queue_of(e);
    const bool queued = e->queued;
    if (queued) {
        take_out(q, e);
    }
    const uint64_t share = ns * (SCHED_WEIGHT / VTIME_NS) + e->rest, by = share / e->weight;
    e->rest = (uint32_t)(share % e->weight);
    e->cpu_ns += ns;
    e->vtime = by < VTIME_END - e->vtime ? e->vtime + by : VTIME_END;
    if (queued) {
        insert(q, e);
    }
    lock_release(&q->lock);
}

void sched_set_weight(struct sched_entity *e, uint32_t weight)
{
    ASSERT(weight > 0);
    struct run_queue *q = lock_queue_of(e);
    const bool queued = e->queued;
    if (queued) {
        take_out(q, e);
    }
    /* How far it is ahead was CPU time, and is the same CPU time at the new weight. */
    catch_up(e, 0);
    const uint64_t clock = __atomic_load_n(&clock_vtime, __ATOMIC_RELAXED), ahead = less(e->vtime, clock);
    e->vtime = clock + ahead / weight * e->weight + ahead % weight * e->weight / weight;
    e->weight = weight;
    e->rest = 0;
    if (queued) {
        insert(q, e);
    }
    lock_release(&q->lock);
}

uint64_t sched_contended(uint32_t cpu)
{
    return lock_contended(&queues[cpu].lock);
}

/* ---- a CPU with nothing to do ---- */

bool sched_idle_begin(void)
{
    const uint32_t me = this_cpu()->index;
    (void)claim(&alone_cpus, me);
    add(&idle_cpus, me);
    if (who_waits(me) != NONE_WAITS) {
        sched_idle_end();
        return false;
    }
    return true;
}

void sched_idle_end(void)
{
    (void)claim(&idle_cpus, this_cpu()->index);
}
