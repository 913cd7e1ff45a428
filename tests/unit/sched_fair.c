/* SPDX-License-Identifier: MIT
 *
 * Shares over the whole machine: CPUs that do as vm/run.c does, in simulated time. Each gets what is ideal: CPU time in
 * proportion to weight, where nobody can use more than one CPU, or than it asks for, and what he cannot use is divided among the others.
 */
#include "host_env.h"

#include "vm/sched.h"
#include "vm_cpus.h"
#include "x86/percpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched_tests.h"

#define TASKS    40u
#define CPUS     8u
#define SLICE_NS (2 * MS)
#define NEVER    UINT64_MAX

struct task {
    struct sched_entity e;
    uint64_t run_ns, sleep_ns; /* as long as it works between two sleeps; sleep_ns 0: it never sleeps */
    uint64_t left_ns, wake_ns;
    uint64_t from_ns;      /* CPU time at the last look */
    uint64_t wait_from_ns; /* NEVER: it is not waiting for its first turn after a wake */
    uint64_t wait_max_ns;
};

struct sim_cpu {
    struct task *current;
    bool idle, kicked;
    uint64_t from_ns, end_ns;
};

static struct task tasks[TASKS];
static unsigned task_count;
static struct sim_cpu cpus[CPUS_MAX]; /* those of earlier tests are told things, too */
static uint32_t cpu_count;
static uint64_t now_ns, moves, random_state;

static void on_kick(uint32_t index)
{
    cpus[index].kicked = true;
}

static struct task *task_of(struct sched_entity *e)
{
    return e == NULL ? NULL : CONTAINER_OF(e, struct task, e);
}

static struct task *add_task(uint32_t weight, uint32_t cpu)
{
    struct task *t = &tasks[task_count++];
    *t = (struct task){.wake_ns = NEVER, .left_ns = NEVER, .wait_from_ns = NEVER};
    sched_init(&t->e, cpu, weight, SCHED_VCPU);
    return t;
}

static struct task *add_sleeper(uint32_t weight, uint32_t cpu, uint64_t run_ns, uint64_t sleep_ns)
{
    struct task *t = add_task(weight, cpu);
    t->run_ns = t->left_ns = run_ns;
    t->sleep_ns = sleep_ns;
    return t;
}

/* Up to twice as long as on average, or as little as nothing. */
static uint64_t about(uint64_t ns)
{
    return ns / 4 + random_next(&random_state) % (ns * 3 / 2);
}

static void end_turn(struct sim_cpu *c)
{
    struct task *t = c->current;
    const uint64_t ran = now_ns - c->from_ns;
    sched_charge(&t->e, ran);
    c->from_ns = now_ns;
    if (t->sleep_ns == 0) {
        return;
    }
    t->left_ns -= ran;
    if (t->left_ns == 0) {
        t->wake_ns = now_ns + about(t->sleep_ns);
        c->current = NULL;
        sched_put(&t->e, false);
    }
}

/* One CPU's loop, up to its next turn or halt. */
static void look_around(uint32_t index)
{
    struct sim_cpu *c = &cpus[index];
    cpus_be(index);
    if (c->idle) {
        c->idle = false;
        sched_idle_end();
    }
    c->kicked = false;
    if (c->current != NULL) {
        end_turn(c);
    }
    for (;;) {
        this_cpu()->resched = false;
        struct task *was = c->current;
        c->current = task_of(sched_next(was == NULL ? NULL : &was->e));
        if (was != NULL && c->current != was) {
            sched_put(&was->e, true);
            moves++;
        }
        if (c->current == NULL) {
            if (!sched_idle_begin()) {
                continue;
            }
            c->idle = true;
            c->end_ns = NEVER;
            return;
        }
        struct task *t = c->current;
        if (t->wait_from_ns != NEVER && now_ns - t->wait_from_ns > t->wait_max_ns) {
            t->wait_max_ns = now_ns - t->wait_from_ns;
        }
        t->wait_from_ns = NEVER;
        c->from_ns = now_ns;
        const uint64_t slice = sched_waiting() ? SLICE_NS : NEVER,
                       ns = slice < t->left_ns ? slice : t->left_ns;
        c->end_ns = ns == NEVER ? NEVER : now_ns + ns;
        return;
    }
}

static void settle(void)
{
    bool again;
    do {
        again = false;
        for (uint32_t i = 0; i < cpu_count; i++) {
            if (cpus[i].kicked || percpu_of(i)->resched) {
                look_around(i);
                again = true;
            }
        }
    } while (again);
}

/* Nobody waits while a CPU halts. */
static void check_busy(void)
{
    bool idle = false, waits = false;
    for (uint32_t i = 0; i < cpu_count; i++) {
        idle |= cpus[i].idle;
    }
    for (unsigned i = 0; i < task_count; i++) {
        waits |= tasks[i].e.queued && !tasks[i].e.pinned;
    }
    assert_false(idle && waits);
}

static void begin(uint32_t count)
{
    cpus_reset(count);
    cpus_on_kick = on_kick;
    cpu_count = count;
    task_count = 0;
    moves = 0;
    now_ns = 0;
    random_state = 88172645463325252u;
    memset(cpus, 0, sizeof cpus);
    for (uint32_t i = 0; i < CPUS_MAX; i++) { /* of a test that has failed */
        cpus_be(i);
        sched_idle_end();
    }
}

static void wake(struct task *t)
{
    cpus_be((uint32_t)(random_next(&random_state) % cpu_count));
    if (t->sleep_ns != 0) {
        t->left_ns = about(t->run_ns) + 1;
    }
    t->wait_from_ns = now_ns;
    t->wake_ns = NEVER;
    sched_wake(&t->e);
}

/* All new tasks wake, and all CPUs come up. */
static void go(void)
{
    for (unsigned i = 0; i < task_count; i++) {
        if (!tasks[i].e.queued && !tasks[i].e.on_cpu && tasks[i].wake_ns == NEVER) {
            wake(&tasks[i]);
        }
    }
    for (uint32_t i = 0; i < cpu_count; i++) {
        look_around(i);
    }
    settle();
}

static void run_until(uint64_t end_ns)
{
    for (;;) {
        uint64_t next = end_ns;
        for (uint32_t i = 0; i < cpu_count; i++) {
            next = cpus[i].end_ns < next ? cpus[i].end_ns : next;
        }
        for (unsigned i = 0; i < task_count; i++) {
            next = tasks[i].wake_ns < next ? tasks[i].wake_ns : next;
        }
        now_ns = next;
        if (next == end_ns) {
            break;
        }
        for (unsigned i = 0; i < task_count; i++) {
            if (tasks[i].wake_ns == next) {
                wake(&tasks[i]);
            }
        }
        for (uint32_t i = 0; i < cpu_count; i++) {
            if (cpus[i].end_ns == next) {
                look_around(i);
            }
        }
        settle();
        check_busy();
    }
    for (uint32_t i = 0; i < cpu_count; i++) {
        look_around(i); /* all is charged */
    }
    settle();
}

/* Everything sleeps, the CPUs halt no more: as it was. */
static void end(void)
{
    for (uint32_t i = 0; i < cpu_count; i++) {
        cpus_be(i);
        sched_idle_end();
        if (cpus[i].current != NULL) {
            sched_put(&cpus[i].current->e, false);
        }
    }
    cpus_be(0);
    for (unsigned i = 0; i < task_count; i++) {
        sched_sync(&tasks[i].e);
    }
    cpus_on_kick = NULL;
}

static void look(void)
{
    for (unsigned i = 0; i < task_count; i++) {
        tasks[i].from_ns = tasks[i].e.cpu_ns;
    }
}

/* Each task's ideal part of `ns`, in CPU time: by weight, none above `asks` of a CPU, the rest divided anew. */
static void ideal(double part[TASKS], const double asks[TASKS], uint64_t ns)
{
    bool full[TASKS] = {false};
    double room = cpu_count;
    for (bool changed = true; changed;) {
        double weights = 0;
        changed = false;
        for (unsigned i = 0; i < task_count; i++) {
            weights += full[i] ? 0 : tasks[i].e.weight;
        }
        for (unsigned i = 0; i < task_count; i++) {
            if (!full[i]) {
                part[i] = room * tasks[i].e.weight / weights;
            }
        }
        for (unsigned i = 0; i < task_count; i++) {
            if (!full[i] && part[i] >= asks[i]) {
                full[i] = changed = true;
                part[i] = asks[i];
                room -= asks[i];
            }
        }
    }
    for (unsigned i = 0; i < task_count; i++) {
        part[i] *= (double)ns;
    }
}

/* Since look(), each had its ideal part, within `percent` and `slack_ns`. */
static void check_parts(uint64_t ns, double percent, uint64_t slack_ns)
{
    double part[TASKS], asks[TASKS];
    for (unsigned i = 0; i < task_count; i++) {
        const struct task *t = &tasks[i];
        asks[i] = t->sleep_ns == 0 ? 1 : (double)t->run_ns / (double)(t->run_ns + t->sleep_ns);
    }
    ideal(part, asks, ns);
    bool bad = false;
    for (unsigned i = 0; i < task_count; i++) {
        const double had = (double)(tasks[i].e.cpu_ns - tasks[i].from_ns), off = had - part[i];
        const bool wrong = (off < 0 ? -off : off) > part[i] * percent / 100 + (double)slack_ns;
        if (wrong || getenv("TEST_LOG") != NULL) {
            printf("# task %u, weight %u: %.1f ms of %.1f (%.1f)\n", i, tasks[i].e.weight, had / 1e6,
                   part[i] / 1e6, off / 1e6);
        }
        bad |= wrong;
    }
    if (getenv("TEST_LOG") != NULL) {
        printf("# %u CPUs, %.0f ms, %lu moves\n", cpu_count, (double)ns / 1e6, moves);
    }
    assert_false(bad);
}

static void hogs(uint32_t count, const uint32_t *weights, unsigned n, uint32_t unit)
{
    begin(count);
    for (unsigned i = 0; i < n; i++) {
        add_task(weights[i] * unit, i % count);
    }
    go();
    look();
}

#define HOGS(count, unit, ...)                                                                               \
    hogs(count, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t), \
         unit)

/* On any number of CPUs, over the whole and over each fifth of a second: within 12 ms at the end of it for the weight of one
 * fair part, which is STEAL_LAG_NS and a slice at both ends; never more later on, so it does not add up. */
static void check_windows(unsigned windows, uint64_t slack_ns)
{
    const uint64_t from = now_ns;
    for (unsigned i = 1; i <= windows; i++) {
        run_until(from + i * 200 * MS);
        check_parts(i * 200 * MS, 0, slack_ns);
    }
}

static void one_two_three_ten(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 4; count++) {
        HOGS(count, SCHED_WEIGHT, 1, 2, 3, 10);
        check_windows(50, 12 * MS);
        end();
    }
}

static void equals_on_fewer_cpus(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= CPUS; count++) {
        HOGS(count, SCHED_WEIGHT, 1, 1, 1);
        check_windows(20, 12 * MS);
        end();
        HOGS(count, SCHED_WEIGHT, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1);
        check_windows(20, 12 * MS);
        end();
    }
}

/* The smallest and the largest weights there are keep their shares, too: the small ones in turns of a slice, the
 * large ones without any of their time being rounded away. */
static void weights_from_1_to_a_million(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 4; count++) {
        HOGS(count, SCHED_WEIGHT / 8000, 1, 2, 3, 10);
        check_windows(20, 30 * MS);
        end();
        HOGS(count, 100 * SCHED_WEIGHT, 1, 2, 3, 10);
        check_windows(20, 12 * MS);
        end();
        HOGS(count, SCHED_WEIGHT / 1000, 1, 32, 1000, 1000, 1000, 32000, 1000000);
        run_until(20000 * MS);
        check_parts(20000 * MS, 0, 40 * MS);
        end();
    }
}

/* Two with a whole CPU each for ten hours, whose virtual times are more than a year apart at the end; then three come, and all is as
 * their weights say at once: nobody has a claim from before. */
static void no_claims_of_one_that_had_all_it_could_use(void **state)
{
    (void)state;
    HOGS(2, SCHED_WEIGHT / 1000, 1000000, 1);
    run_until(36000000 * MS);
    for (unsigned i = 0; i < 3; i++) {
        add_task(SCHED_WEIGHT, i % 2);
    }
    go();
    look();
    check_windows(10, 25 * MS);
    sched_set_weight(&tasks[0].e, SCHED_WEIGHT);
    look();
    check_windows(10, 25 * MS);
    end();
}

/* The same without a slice for ten hours: the clock stands still till somebody comes. */
static void no_claims_from_before_a_wake(void **state)
{
    (void)state;
    HOGS(1, SCHED_WEIGHT, 1);
    struct task *sleeper = add_sleeper(SCHED_WEIGHT, 0, MS, MS);
    sleeper->wake_ns = 36000000 * MS;
    run_until(36000000 * MS);
    sleeper->sleep_ns = 0;
    sleeper->left_ns = NEVER;
    look();
    check_windows(10, 12 * MS);
    end();
}

/* A new one, or one that slept for a minute, gets its part at once and no more; so does everybody else. */
static void sleep_gives_no_claim(void **state)
{
    (void)state;
    HOGS(2, SCHED_WEIGHT, 1, 2, 1);
    struct task *sleeper = add_sleeper(SCHED_WEIGHT, 0, MS, MS);
    sleeper->wake_ns = 60000 * MS;
    run_until(60000 * MS);
    sleeper->sleep_ns = 0;
    sleeper->left_ns = NEVER;
    run_until(60001 * MS);
    look();
    check_windows(10, 16 * MS);
    add_task(2 * SCHED_WEIGHT, 1);
    go();
    look();
    check_windows(10, 16 * MS);
    end();
}

/* Those that ask for less than their part get it, and without waiting longer than a slice and a bit; the others share the rest. */
static void sleepers_and_hogs(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 4; count++) {
        HOGS(count, SCHED_WEIGHT, 1, 1, 3, 1, 2, 2);
        const unsigned first = task_count;
        for (unsigned i = 0; i < 4; i++) {
            add_sleeper(SCHED_WEIGHT, i % count, MS / 2, (10 + 5 * i) * MS);
        }
        run_until(10 * MS);
        go();
        look();
        run_until(20010 * MS);
        check_parts(20000 * MS, 8, 20 * MS);
        for (unsigned i = first; i < task_count; i++) {
            if (getenv("TEST_LOG") != NULL) printf("# waited %.2f ms\n", (double)tasks[i].wait_max_ns / 1e6);
            assert_in_range(tasks[i].wait_max_ns, 0, 4 * SLICE_NS);
        }
        end();
    }
}

/* Sleeping and waking at the right moment brings nobody more than the hogs get. */
static void napping_does_not_pay(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 3; count++) {
        for (uint64_t run = MS / 10; run <= 10 * MS; run *= 3) {
            HOGS(count, SCHED_WEIGHT, 1, 1, 1, 1, 1);
            struct task *t = add_sleeper(SCHED_WEIGHT, 0, run, MS / 20);
            go();
            look();
            run_until(5000 * MS);
            if (getenv("TEST_LOG") != NULL)
                printf("# had %.2f ms of %u\n", (double)t->e.cpu_ns / 1e6, count * 5000 / 6);
            assert_in_range(t->e.cpu_ns, 0, count * 5000 * MS / 6 + 12 * MS);
            end();
        }
    }
}

/* The steward is on the boot CPU for ever, with its part of that CPU at most; the others' shares hold over the machine all the same. */
static void pinned_among_others(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= 4; count++) {
        begin(count);
        add_task(4 * SCHED_WEIGHT, 0)->e.pinned = true;
        for (unsigned i = 0; i < 7; i++) {
            add_task(SCHED_WEIGHT, i % count);
        }
        go();
        look();
        check_windows(20, 16 * MS);
        assert_int_equal(tasks[0].e.cpu, 0);
        end();
    }
}

const struct CMUnitTest fair_tests[] = {
    cmocka_unit_test(one_two_three_ten),
    cmocka_unit_test(equals_on_fewer_cpus),
    cmocka_unit_test(weights_from_1_to_a_million),
    cmocka_unit_test(no_claims_of_one_that_had_all_it_could_use),
    cmocka_unit_test(no_claims_from_before_a_wake),
    cmocka_unit_test(sleep_gives_no_claim),
    cmocka_unit_test(sleepers_and_hogs),
    cmocka_unit_test(napping_does_not_pay),
    cmocka_unit_test(pinned_among_others),
};
const size_t fair_test_count = sizeof fair_tests / sizeof fair_tests[0];
