/* SPDX-License-Identifier: MIT
 *
 * Scheduler and timers under ThreadSanitizer, with a thread for each CPU that does as vm/run.c does. Tasks pass tokens round,
 * directly or by way of a timer, and sleep when they have none: a wake or a timer that gets lost takes its token with it, and
 * without tokens all stands still. Hogs have no tokens and never sleep: they must be driven from their CPUs.
 */
#define _GNU_SOURCE
#include "lib/lock.h"
#include "lib/log.h"
#include "vm/sched.h"
#include "vm/timer.h"
#include "vm_cpus.h"
#include "x86/percpu.h"
#include "x86/time.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sched_random.h"

#define CPUS        4u
#define TASKS       12u
#define PATIENCE_S  10 /* nothing has happened for so long: something is lost. The build host may be busy */
#define SLICE_HOPS  4u
#define HOLD_NS_MAX 200000u
#define SPIN_STEPS  20u
#define ODDS        16u

enum state { RUNNABLE, HALTED, STOPPED };

struct task {
    struct sched_entity e;
    struct timer timer;
    struct lock lock; /* as a VM's device lock */
    enum state state;
    bool hog;
    unsigned tokens;
    unsigned held; /* tokens that come back at due_ns */
    uint64_t due_ns;
    uint32_t owner;    /* the CPU that runs it, from 1 */
    uint64_t turns[2]; /* written in its turns alone, by whatever CPU has it: the sanitizer watches */
};

struct setting {
    const char *name;
    uint32_t cpus;
    unsigned tasks, hogs, tokens;
    uint64_t hops;
    bool timers, house, pinned;
    /* CPU 0 never looks around: all it does is to give a token, when it gets it back, to the next task, whose last turn was on
     * CPU 0, too. So nobody but those who ought to be told can find out that there is something to do. */
    bool ferry;
    uint64_t toll_ns; /* of a token, in CPU time: with more of it than a hog has, no wake preempts */
};

static struct setting setting;
static struct task tasks[TASKS];
static sem_t wires[CPUS_MAX]; /* an interrupt is pending */
static bool pending[CPUS_MAX], over;
static uint64_t hops, stops, fires;
static unsigned mail; /* tokens for the ferry */
static _Thread_local uint64_t seed;
static _Thread_local uint32_t held;

/* ---- what the machine gives ---- */

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    abort();
}

/* What would be a spin on a real CPU lets the others go on; and now and then somebody is late. */
void lock_acquire(struct lock *lock)
{
    if (held >> lock->level != 0) panic("lock of level %u taken with levels 0x%x held", lock->level, held);
    held |= 1u << lock->level;
    if (random_next(&seed) % ODDS == 0) sched_yield();
    const uint16_t ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);
    while (__atomic_load_n(&lock->serving, __ATOMIC_ACQUIRE) != ticket) sched_yield();
}

void lock_release(struct lock *lock)
{
    held &= ~(1u << lock->level);
    __atomic_store_n(&lock->serving, (uint16_t)(lock->serving + 1), __ATOMIC_RELEASE);
    if (random_next(&seed) % ODDS == 0) sched_yield();
}

uint64_t time_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now); /* the clock of sem_timedwait */
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

static void on_kick(uint32_t index)
{
    if (!__atomic_exchange_n(&pending[index], true, __ATOMIC_SEQ_CST)) sem_post(&wires[index]);
}

static void set_resched(bool value)
{
    __atomic_store_n(&this_cpu()->resched, value, __ATOMIC_RELAXED);
}

/* An interrupt ends a turn or the halt: another CPU's kick, or the timer. */
static bool interrupted(void)
{
    struct percpu *cpu = this_cpu();
    if (cpu->timers_ns < cpu->timer_deadline_ns) time_arm(cpu->timers_ns);
    if (__atomic_load_n(&pending[cpu->index], __ATOMIC_SEQ_CST)) {
        sem_wait(&wires[cpu->index]);
        __atomic_store_n(&pending[cpu->index], false, __ATOMIC_SEQ_CST);
        set_resched(true);
    }
    if (cpu->timer_deadline_ns != NO_DEADLINE && cpu->timer_deadline_ns <= time_now_ns()) {
        cpu->timer_deadline_ns = NO_DEADLINE;
        set_resched(true);
    }
    return __atomic_load_n(&cpu->resched, __ATOMIC_RELAXED);
}

static void halt(void)
{
    struct percpu *cpu = this_cpu();
    const uint64_t until = cpu->timer_deadline_ns;
    const struct timespec at = {.tv_sec = (time_t)(until / (1000 * MS)),
                                .tv_nsec = (long)(until % (1000 * MS))};
    int error = 0;
    do {
        error = until == NO_DEADLINE ? sem_wait(&wires[cpu->index]) : sem_timedwait(&wires[cpu->index], &at);
    } while (error != 0 && errno == EINTR);
    if (error == 0) __atomic_store_n(&pending[cpu->index], false, __ATOMIC_SEQ_CST);
    set_resched(true);
}

/* ---- tasks ---- */

static unsigned any(unsigned n)
{
    return (unsigned)(random_next(&seed) % n);
}

/* Under its lock. */
static void have(struct task *t, unsigned tokens)
{
    t->tokens += tokens;
    if (t->state == HALTED && t->tokens > 0) {
        t->state = RUNNABLE;
        sched_wake(&t->e);
    }
}

static void fire(struct timer *timer, uint64_t now_ns)
{
    struct task *t = CONTAINER_OF(timer, struct task, timer);
    lock_acquire(&t->lock);
    if (t->held > 0 && any(2) == 0) { /* also while timer_cancel waits */
        t->due_ns = now_ns + any(HOLD_NS_MAX);
        timer_set(timer, t->due_ns);
    } else if (t->state != STOPPED && t->held > 0 && t->due_ns <= now_ns) {
        have(t, t->held);
        t->held = 0;
        __atomic_fetch_add(&fires, 1, __ATOMIC_RELAXED);
    }
    lock_release(&t->lock);
}

/* To anybody who is not being rebuilt. */
static void pass(void)
{
    for (;;) {
        struct task *t = &tasks[setting.hogs + any(setting.tasks - setting.hogs)];
        lock_acquire(&t->lock);
        const bool done = t->state != STOPPED;
        if (done) have(t, 1);
        lock_release(&t->lock);
        if (done) return;
    }
}

static bool runnable(struct task *t)
{
    lock_acquire(&t->lock);
    const bool yes = t->state == RUNNABLE;
    lock_release(&t->lock);
    return yes;
}

/* Deals with a token, if it has one. False: its turn is over. */
static bool hop(struct task *t)
{
    bool go_on = false, got = false;
    if (t->hog) {
        sched_yield();
        return runnable(t);
    }
    lock_acquire(&t->lock);
    if (t->state == RUNNABLE && t->tokens > 0) {
        got = true;
        t->tokens--;
        if (setting.timers && any(3) == 0) {
            got = false;
            t->held++;
            t->due_ns = time_now_ns() + any(HOLD_NS_MAX);
            timer_set(&t->timer, t->due_ns);
        }
    }
    go_on = t->state == RUNNABLE && t->tokens > 0;
    if (t->state == RUNNABLE && !go_on) t->state = HALTED;
    lock_release(&t->lock);
    if (got) sched_charge(&t->e, setting.toll_ns);
    if (got && setting.ferry) __atomic_fetch_add(&mail, 1, __ATOMIC_ACQ_REL);
    if (got && !setting.ferry) pass();
    __atomic_fetch_add(&hops, 1, __ATOMIC_RELAXED);
    return go_on;
}

static void turn(struct task *t, bool slice)
{
    for (unsigned n = 0; !slice || n < SLICE_HOPS; n++) {
        t->turns[0]++;
        sched_charge(&t->e, 1000 + any(100000));
        t->turns[1]++;
        if (!hop(t) || interrupted() || __atomic_load_n(&over, __ATOMIC_RELAXED)) break;
    }
}

static void switch_in(struct task *t)
{
    const uint32_t was = __atomic_exchange_n(&t->owner, cpu_index() + 1, __ATOMIC_RELAXED);
    if (was != 0) panic("task %ld is on CPU %u and %u", t - tasks, was - 1, cpu_index());
}

static void put(struct task *t, bool again)
{
    if (t->turns[0] != t->turns[1]) panic("task %ld was in two turns at once", t - tasks);
    const uint32_t was = __atomic_exchange_n(&t->owner, 0, __ATOMIC_RELAXED);
    if (was != cpu_index() + 1) panic("task %ld ran on CPU %u", t - tasks, was - 1);
    sched_put(&t->e, again);
}

/* ---- CPUs ---- */

static void begin_task(struct task *t, uint32_t weight)
{
    sched_init(&t->e, any(setting.cpus), weight, SCHED_VCPU);
    timer_init(&t->timer, fire);
    t->owner = 0;
    if (setting.pinned && t == &tasks[setting.hogs]) {
        t->e.cpu = 0;
        t->e.pinned = true;
    }
}

/* The boot CPU takes a task out of the world and brings a new one in, as it does with a VM. */
static void rebuild(struct task *t)
{
    lock_acquire(&t->lock);
    t->state = STOPPED;
    lock_release(&t->lock);
    sched_sync(&t->e);
    timer_cancel(&t->timer);
    if (__atomic_load_n(&t->owner, __ATOMIC_RELAXED) != 0) panic("task %ld still runs", t - tasks);
    memset(&t->e, 0xa5, sizeof t->e);
    memset(&t->timer, 0xa5, sizeof t->timer);
    begin_task(t, SCHED_WEIGHT * (1 + any(4)));
    stops++;
    lock_acquire(&t->lock);
    t->state = t->hog ? RUNNABLE : HALTED;
    have(t, t->held);
    t->held = 0;
    if (t->hog) sched_wake(&t->e);
    lock_release(&t->lock);
}

static struct task *keep_house(struct task *current)
{
    if (any(8) != 0) return current;
    struct task *t = &tasks[any(setting.tasks)];
    if (any(2) == 0) {
        sched_set_weight(&t->e, SCHED_WEIGHT * (1 + any(4)));
        return current;
    }
    if (current != NULL) put(current, runnable(current));
    rebuild(t);
    return NULL;
}

static void *ferry_main(void *arg)
{
    unsigned next = 0;
    (void)arg;
    cpus_be(0);
    seed = 99;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        if (__atomic_load_n(&mail, __ATOMIC_ACQUIRE) == 0) {
            sched_yield();
            continue;
        }
        __atomic_fetch_sub(&mail, 1, __ATOMIC_ACQ_REL);
        struct task *t = &tasks[setting.hogs + next++ % (setting.tasks - setting.hogs)];
        sched_sync(&t->e); /* it sleeps, for the token was not with it */
        __atomic_store_n(&t->e.cpu, any(2), __ATOMIC_RELEASE);
        lock_acquire(&t->lock);
        have(t, 1);
        lock_release(&t->lock);
    }
    return NULL;
}

static void *cpu_main(void *arg)
{
    const uint32_t me = (uint32_t)(uintptr_t)arg;
    struct task *current = NULL;
    cpus_be(me);
    seed = 7 + me;
    while (!__atomic_load_n(&over, __ATOMIC_RELAXED)) {
        set_resched(false);
        if (me == 0 && setting.house) current = keep_house(current);
        const uint64_t next = timers_run(time_now_ns());
        if (current != NULL && !runnable(current)) {
            put(current, false);
            current = NULL;
        }
        struct sched_entity *e = sched_next(current == NULL ? NULL : &current->e);
        struct task *t = e == NULL ? NULL : CONTAINER_OF(e, struct task, e);
        if (t != current) {
            if (current != NULL) put(current, true);
            switch_in(t);
            current = t;
        }
        time_arm(next);
        if (t != NULL) {
            if (runnable(t)) turn(t, sched_waiting());
        } else if (sched_idle_begin()) {
            halt();
            sched_idle_end();
        }
    }
    if (current != NULL) put(current, false);
    return NULL;
}

/* ---- one setting ---- */

static void explain(void)
{
    for (unsigned i = 0; i < setting.tasks; i++) {
        const struct task *t = &tasks[i];
        printf("# task %u: state %d, %u tokens, %u held; cpu %u%s%s%s\n", i, t->state, t->tokens, t->held,
               t->e.cpu, t->e.queued ? ", queued" : "", t->e.on_cpu ? ", on CPU" : "",
               t->e.woken ? ", woken" : "");
    }
    for (uint32_t i = 0; i < setting.cpus; i++) {
        printf("# CPU %u: interrupt pending %d, deadline %lu\n", i, pending[i],
               percpu_of(i)->timer_deadline_ns);
    }
    fflush(stdout);
}

/* False: it stands still. */
static bool wait_for_end(void)
{
    uint64_t last = 0, now;
    unsigned still = 0;
    while ((now = __atomic_load_n(&hops, __ATOMIC_RELAXED)) < setting.hops) {
        still = now == last ? still + 1 : 0;
        if (still == PATIENCE_S * 1000) return false;
        last = now;
        usleep(1000);
    }
    return true;
}

static void end_cpus(pthread_t *threads)
{
    __atomic_store_n(&over, true, __ATOMIC_SEQ_CST);
    for (uint32_t i = 0; i < setting.cpus; i++) {
        on_kick(i);
    }
    for (uint32_t i = 0; i < setting.cpus; i++) {
        pthread_join(threads[i], NULL);
    }
    cpus_be(0);
    for (unsigned i = 0; i < setting.tasks; i++) {
        sched_sync(&tasks[i].e);
        timer_cancel(&tasks[i].timer);
    }
}

static bool run(const struct setting *s)
{
    pthread_t threads[CPUS];
    setting = *s;
    cpus_reset(s->cpus);
    memset(tasks, 0, sizeof tasks);
    over = false;
    hops = stops = fires = 0;
    for (uint32_t i = 0; i < s->cpus; i++) {
        pending[i] = false;
        sem_init(&wires[i], 0, 0);
    }
    for (unsigned i = 0; i < s->tasks; i++) {
        struct task *t = &tasks[i];
        t->lock = (struct lock)LOCK_INIT(LOCK_DEVICES);
        t->hog = i < s->hogs;
        t->state = t->hog ? RUNNABLE : HALTED;
        begin_task(t, SCHED_WEIGHT);
        if (t->hog) sched_wake(&t->e);
    }
    cpus_on_kick = on_kick;
    mail = s->ferry ? s->tokens : 0;
    for (unsigned i = mail; i < s->tokens; i++) {
        pass();
    }
    for (uint32_t i = 0; i < s->cpus; i++) {
        pthread_create(&threads[i], NULL, i == 0 && s->ferry ? ferry_main : cpu_main, (void *)(uintptr_t)i);
    }
    if (!wait_for_end()) {
        explain();
        return false;
    }
    end_cpus(threads);
    unsigned tokens = mail;
    for (unsigned i = 0; i < s->tasks; i++) {
        tokens += tasks[i].tokens + tasks[i].held;
    }
    printf("# %s: %lu hops, %lu rebuilt, %lu timers\n", s->name, hops, stops, fires);
    return tokens == s->tokens && (!s->house || stops > 0) && (!s->timers || fires > 0);
}

int main(void)
{
    static const struct setting settings[] = {
        {.name = "one token on four idle CPUs", .cpus = 4, .tasks = 6, .tokens = 1, .hops = 2000},
        {.name = "a ferry and an idle CPU", .cpus = 2, .tasks = 3, .tokens = 1, .hops = 4000, .ferry = true},
        {.name = "a ferry and two idle CPUs",
         .cpus = 3,
         .tasks = 3,
         .tokens = 1,
         .hops = 4000,
         .ferry = true},
        {.name = "a ferry and a hog without a slice",
         .cpus = 2,
         .tasks = 3,
         .hogs = 1,
         .tokens = 1,
         .hops = 2000,
         .ferry = true,
         .toll_ns = 7 * MS},
        {.name = "one token among hogs", .cpus = 2, .tasks = 5, .hogs = 3, .tokens = 1, .hops = 2000},
        {.name = "timers", .cpus = 2, .tasks = 4, .hogs = 1, .tokens = 1, .hops = 1000, .timers = true},
        {.name = "everything",
         .cpus = 4,
         .tasks = TASKS,
         .hogs = 2,
         .tokens = 6,
         .hops = 10000,
         .timers = true,
         .house = true,
         .pinned = true},
    };
    const unsigned count = sizeof settings / sizeof settings[0];
    seed = 1;
    printf("1..%u\n", count);
    for (unsigned i = 0; i < count; i++) {
        if (!run(&settings[i])) {
            printf("not ok %u - %s\n", i + 1, settings[i].name);
            fflush(stdout);
            _Exit(1); /* its threads may never end */
        }
        printf("ok %u - %s\n", i + 1, settings[i].name);
    }
    return 0;
}
