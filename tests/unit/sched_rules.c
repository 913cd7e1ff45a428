/* SPDX-License-Identifier: MIT
 *
 * The order of turns, rule by rule; vtimes relative to where new entities start.
 */
#include "host_env.h"

#include "vm/sched.h"
#include "vm_cpus.h"
#include "x86/percpu.h"

#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sched_tests.h"

static struct sched_entity a, b, c;

/* Takes all CPUs out of what they are in. */
static void start(uint32_t count)
{
    struct sched_entity *e;
    cpus_reset(count);
    for (uint32_t i = CPUS_MAX; i-- > 0;) {
        cpus_be(i);
        sched_idle_end();
        while ((e = sched_next(NULL)) != NULL) {
            sched_put(e, false);
        }
    }
    cpus_reset(count);
    sched_init(&a, 0, SCHED_WEIGHT, SCHED_VCPU);
    sched_init(&b, 0, SCHED_WEIGHT, SCHED_VCPU);
    sched_init(&c, 0, 4 * SCHED_WEIGHT, SCHED_VCPU);
}

/* This CPU turns to whoever is next. */
static struct sched_entity *go_on(struct sched_entity *current)
{
    struct sched_entity *e = sched_next(current);
    if (current != NULL && e != current) {
        sched_put(current, true);
    }
    return e;
}

static struct sched_entity *go_on_as(uint32_t cpu, struct sched_entity *current)
{
    cpus_be(cpu);
    return go_on(current);
}

/* n turns of `ns` each; returns whose the next one is. */
static struct sched_entity *turns(struct sched_entity *current, unsigned n, uint64_t ns)
{
    for (; n > 0; n--) {
        sched_charge(current, ns);
        current = go_on(current);
    }
    return current;
}

static bool resched_of(uint32_t cpu)
{
    const bool yes = percpu_of(cpu)->resched;
    percpu_of(cpu)->resched = false;
    return yes;
}

/* That CPU finds nothing and halts. */
static void halt(uint32_t cpu)
{
    cpus_be(cpu);
    assert_null(sched_next(NULL));
    assert_true(sched_idle_begin());
}

static void time_goes_by_weight(void **state)
{
    (void)state;
    start(1);
    sched_wake(&a);
    sched_wake(&c);
    turns(go_on(NULL), 1000, MS);
    assert_in_range(a.cpu_ns, 199 * MS, 201 * MS);
    assert_in_range(c.cpu_ns, 799 * MS, 801 * MS);
}

/* One that runs before others gets to run with them by turns from the start. */
static void current_stays_while_it_is_least_served(void **state)
{
    (void)state;
    start(1);
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    sched_charge(&a, MS);
    assert_ptr_equal(go_on(&a), &a);
    sched_wake(&b);
    assert_ptr_equal(go_on(&a), &b);
    sched_charge(&b, MS);
    assert_ptr_equal(go_on(&b), &b); /* as much as a: no reason to switch */
    sched_charge(&b, MS);
    assert_ptr_equal(go_on(&b), &a);
    assert_true(a.on_cpu && !a.queued && b.queued && !b.on_cpu);
}

static void a_blocked_one_gets_no_turn(void **state)
{
    (void)state;
    start(1);
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    sched_put(&a, false);
    assert_false(a.queued || a.on_cpu);
    assert_null(sched_next(NULL));
}

/* Of several wakes, one counts; of one during its turn, sched_put hears. */
static void no_wake_is_lost_and_none_counts_twice(void **state)
{
    (void)state;
    start(1);
    sched_wake(&a);
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    sched_wake(&a);
    sched_put(&a, false);
    assert_ptr_equal(go_on(NULL), &a);
    sched_put(&a, false);
    assert_null(sched_next(NULL));

    /* It goes on, and looks at what the wake was about: done with. */
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    sched_wake(&a);
    assert_ptr_equal(go_on(&a), &a);
    sched_put(&a, false);
    assert_null(sched_next(NULL));
}

/* A short turn, and then long work of the core on its behalf, such as a reboot: it is behind all others then. */
static void work_between_turns_is_paid_for(void **state)
{
    uint64_t for_b = 0;

    (void)state;
    start(1);
    sched_wake(&a);
    sched_wake(&b);
    for (unsigned i = 0; i < 1000; i++) {
        struct sched_entity *e = sched_next(NULL);
        sched_charge(e, e == &b ? MS : 1000);
        sched_put(e, true);
        if (e == &b) {
            for_b++;
        } else {
            sched_charge(e, 20 * MS);
        }
    }
    assert_in_range(for_b, 940, 960);
    assert_in_range(a.cpu_ns, 900 * MS, 1060 * MS);
}

static void a_charge_keeps_the_queue_in_order(void **state)
{
    (void)state;
    start(1);
    sched_wake(&a);
    sched_wake(&b);
    sched_wake(&c);
    sched_charge(&a, 3 * MS);
    sched_charge(&c, 4 * MS); /* a quarter of that counts */
    for (unsigned i = 0; i < 3; i++) {
        struct sched_entity *e = sched_next(NULL);
        assert_ptr_equal(e, i == 0 ? &b : i == 1 ? &c : &a);
        sched_put(e, false);
    }
    assert_null(sched_next(NULL));
}

/* No turn is so short, and no weight so great, that it costs nothing in the end. */
static void short_turns_add_up(void **state)
{
    (void)state;
    start(1);
    sched_set_weight(&a, 1000 * SCHED_WEIGHT);
    const uint64_t from = a.vtime;
    for (unsigned i = 0; i < 64000; i++) {
        sched_charge(&a, 100);
    }
    assert_int_equal(a.vtime - from, 100);
    assert_int_equal(a.cpu_ns, 64000 * 100);
}

/* The lightest there is, for four years of CPU time; and for ten, when the order ends and turns do not. */
static void vtime_does_not_wrap(void **state)
{
    const uint64_t day_ns = 86400000 * MS;
    uint64_t last = 0;

    (void)state;
    start(1);
    sched_set_weight(&a, SCHED_WEIGHT / 8000);
    for (unsigned day = 0; day < 3650; day++) {
        last = a.vtime;
        sched_charge(&a, day_ns);
        assert_true(a.vtime > last || day > 4 * 365);
    }
    assert_int_equal(a.vtime, last);
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    sched_put(&a, false);
}

static void a_new_weight_holds_from_now_on(void **state)
{
    (void)state;
    start(1);
    sched_wake(&a);
    sched_wake(&b);
    struct sched_entity *e = turns(go_on(NULL), 100, MS);
    const uint64_t had = a.cpu_ns;
    sched_set_weight(&a, 3 * SCHED_WEIGHT);
    turns(e, 1000, MS);
    assert_in_range(a.cpu_ns - had, 747 * MS, 753 * MS);

    /* What it is ahead is CPU time: 30 ms more than others is 10 ms of theirs at three times the weight, and again 30. */
    start(1);
    const uint64_t from = b.vtime;
    sched_charge(&a, 30 * MS);
    const uint64_t ahead = a.vtime - from;
    sched_set_weight(&a, 3 * SCHED_WEIGHT);
    assert_int_equal(a.vtime - from, ahead / 3);
    sched_set_weight(&a, SCHED_WEIGHT);
    assert_int_equal(a.vtime - from, ahead / 3 * 3);
}

/* ---- several CPUs ---- */

static void a_waker_chooses_an_idle_cpu(void **state)
{
    (void)state;
    start(4);
    halt(1);
    halt(2);
    cpus_be(0);
    sched_wake(&a);
    assert_int_equal(a.cpu, 2);
    assert_true(a.queued && resched_of(2));
    assert_int_equal(cpus_kicks(2), 1);
    sched_wake(&b); /* that one has its work */
    assert_int_equal(b.cpu, 1);
    assert_int_equal(cpus_kicks(1) * 2 + cpus_kicks(2), 2);
    sched_wake(&c);
    assert_int_equal(c.cpu, 0);
    assert_ptr_equal(go_on_as(2, NULL), &a);
    assert_ptr_equal(go_on_as(1, NULL), &b);
}

/* Its own, if that is idle: its caches may be warm. */
static void its_own_cpu_if_that_is_idle(void **state)
{
    (void)state;
    start(4);
    a.cpu = 1;
    halt(1);
    halt(2);
    cpus_be(0);
    sched_wake(&a);
    assert_int_equal(a.cpu, 1);
    assert_int_equal(cpus_kicks(1), 1);
    assert_int_equal(cpus_kicks(2), 0);
}

static void the_steward_stays(void **state)
{
    struct sched_entity s;

    (void)state;
    start(2);
    sched_init(&s, 0, 4 * SCHED_WEIGHT, SCHED_STEWARD);
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    sched_charge(&a, MS);
    halt(1);
    sched_wake(&s);
    assert_int_equal(s.cpu, 0);
    assert_null(sched_next(NULL)); /* nothing for CPU 1 */
    assert_true(sched_idle_begin());
    assert_int_equal(cpus_kicks(1), 0);
    /* But whom it displaces is. */
    assert_ptr_equal(go_on_as(0, &a), &s);
    assert_true(sched_waiting());
    assert_int_equal(cpus_kicks(1), 1);
    assert_ptr_equal(go_on_as(1, NULL), &a);
    assert_int_equal(a.cpu, 1);
    sched_put(&a, false);
    cpus_be(0);
    sched_put(&s, false);
}

/* Who wakes ends the turn of one that has had more, and not of one that has had about the same. */
static void a_woken_one_preempts_by_a_margin(void **state)
{
    (void)state;
    start(2);
    sched_wake(&a);
    assert_ptr_equal(go_on(NULL), &a);
    b.vtime = a.vtime;
    sched_charge(&a, MS / 4);
    assert_ptr_equal(sched_next(&a), &a);
    sched_charge(&b, 1);
    sched_wake(&b);
    assert_false(resched_of(0));
    assert_ptr_equal(go_on(&a), &b);
    sched_put(&b, false);
    assert_ptr_equal(go_on(NULL), &a);
    sched_charge(&a, MS);
    assert_ptr_equal(sched_next(&a), &a);
    cpus_be(1);
    sched_wake(&b);
    assert_true(resched_of(0));
    assert_int_equal(cpus_kicks(0), 1);
}

/* From another queue only whom waiting there has set back by more than two slices; without that, CPUs would pass entities to and fro. */
static void stealing_needs_a_lag(void **state)
{
    (void)state;
    start(2);
    sched_init(&b, 1, SCHED_WEIGHT, SCHED_VCPU);
    sched_wake(&a);
    sched_wake(&b);
    assert_ptr_equal(sched_next(NULL), &a);
    assert_ptr_equal(go_on_as(1, NULL), &b);
    sched_init(&c, 0, SCHED_WEIGHT, SCHED_VCPU);
    sched_wake(&c); /* waits for CPU 0 */
    sched_charge(&b, 4 * MS);
    assert_ptr_equal(go_on_as(1, &b), &b);
    sched_charge(&b, 64);
    assert_ptr_equal(go_on_as(1, &b), &c);
    assert_int_equal(c.cpu, 1);
    assert_true(b.queued && b.cpu == 1);
    /* A CPU with nothing else to do takes what there is. */
    cpus_be(0);
    sched_put(&a, false);
    assert_ptr_equal(go_on(NULL), &b);
    assert_int_equal(b.cpu, 0);
}

/* It takes the least served of all queues. */
static void stealing_takes_the_least_served(void **state)
{
    (void)state;
    start(4);
    sched_init(&a, 1, SCHED_WEIGHT, SCHED_VCPU);
    sched_init(&b, 2, SCHED_WEIGHT, SCHED_VCPU);
    sched_init(&c, 3, SCHED_WEIGHT, SCHED_VCPU);
    sched_wake(&a);
    sched_wake(&b);
    sched_wake(&c);
    sched_charge(&a, 2 * MS);
    sched_charge(&b, MS);
    sched_charge(&c, 3 * MS);
    for (unsigned i = 0; i < 3; i++) {
        struct sched_entity *e = sched_next(NULL);
        assert_ptr_equal(e, i == 0 ? &b : i == 1 ? &a : &c);
        sched_put(e, false);
    }
}

/* Who runs without a slice is told that there is somebody to share with: on his CPU or on any other. */
static void a_turn_without_a_slice_ends_when_somebody_waits(void **state)
{
    (void)state;
    start(3);
    sched_init(&b, 1, SCHED_WEIGHT, SCHED_VCPU);
    sched_wake(&a);
    sched_wake(&b);
    assert_ptr_equal(go_on_as(0, NULL), &a);
    assert_true(sched_waiting()); /* somebody waits elsewhere */
    assert_ptr_equal(go_on_as(1, NULL), &b);
    assert_false(sched_waiting());
    cpus_be(0);
    assert_false(sched_waiting());
    cpus_be(2);
    sched_wake(&c);
    assert_int_equal(c.cpu, 0);
    assert_true(resched_of(0));
    assert_int_equal(cpus_kicks(0), 1);
    assert_ptr_equal(go_on_as(0, &a), &a);
    assert_true(sched_waiting());
    assert_true(resched_of(1));
    assert_int_equal(cpus_kicks(1), 1);
    cpus_be(1);
    assert_true(sched_waiting());
    /* They look by themselves from now on. */
    struct sched_entity d;
    sched_init(&d, 0, SCHED_WEIGHT, SCHED_VCPU);
    sched_wake(&d);
    assert_int_equal(cpus_kicks(0) + cpus_kicks(1), 0);
    sched_sync(&d);
}

static void a_cpu_does_not_halt_while_somebody_waits(void **state)
{
    (void)state;
    start(2);
    sched_wake(&a);
    cpus_be(1);
    assert_false(sched_idle_begin());
    assert_ptr_equal(go_on(NULL), &a);
    cpus_be(0);
    assert_true(sched_idle_begin());
    sched_idle_end();
    sched_wake(&b); /* awake again: it is not chosen, nor told */
    assert_int_equal(b.cpu, 0);
    assert_false(sched_idle_begin());
}

/* ---- sched_sync ---- */

static struct sched_entity *to_end;

static void end_it(uint32_t cpu)
{
    assert_true(percpu_of(cpu)->resched);
    cpus_be(cpu);
    sched_put(to_end, true); /* it does not know yet */
    cpus_be(0);
}

static void sync_waits_till_it_is_on_no_cpu(void **state)
{
    (void)state;
    start(2);
    sched_wake(&a);
    sched_sync(&a); /* waiting */
    assert_false(a.queued);
    sched_sync(&a); /* neither */
    sched_wake(&a);
    assert_ptr_equal(go_on_as(1, NULL), &a);
    cpus_be(0);
    cpus_on_kick = end_it;
    to_end = &a;
    sched_sync(&a);
    cpus_on_kick = NULL;
    assert_int_equal(cpus_kicks(1), 1);
    assert_false(a.queued || a.on_cpu);
    assert_null(sched_next(NULL));
}

const struct CMUnitTest rule_tests[] = {
    cmocka_unit_test(time_goes_by_weight),
    cmocka_unit_test(current_stays_while_it_is_least_served),
    cmocka_unit_test(a_blocked_one_gets_no_turn),
    cmocka_unit_test(no_wake_is_lost_and_none_counts_twice),
    cmocka_unit_test(work_between_turns_is_paid_for),
    cmocka_unit_test(a_charge_keeps_the_queue_in_order),
    cmocka_unit_test(short_turns_add_up),
    cmocka_unit_test(a_new_weight_holds_from_now_on),
    cmocka_unit_test(a_waker_chooses_an_idle_cpu),
    cmocka_unit_test(its_own_cpu_if_that_is_idle),
    cmocka_unit_test(the_steward_stays),
    cmocka_unit_test(a_woken_one_preempts_by_a_margin),
    cmocka_unit_test(stealing_needs_a_lag),
    cmocka_unit_test(stealing_takes_the_least_served),
    cmocka_unit_test(a_turn_without_a_slice_ends_when_somebody_waits),
    cmocka_unit_test(a_cpu_does_not_halt_while_somebody_waits),
    cmocka_unit_test(sync_waits_till_it_is_on_no_cpu),
    cmocka_unit_test(vtime_does_not_wrap),
};
const size_t rule_test_count = sizeof rule_tests / sizeof rule_tests[0];
