/* SPDX-License-Identifier: MIT
 *
 * The order of turns.
 */
#include "host_env.h"

#include "vm/sched.h"

#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vm_tests.h"

#define MS 1000000ull

static struct sched_entity a, b, c;

static void start(void)
{
    while (sched_pick() != NULL) {
    }
    sched_init(&a, 0, SCHED_WEIGHT, false);
    sched_init(&b, 0, SCHED_WEIGHT, false);
    sched_init(&c, 0, 4 * SCHED_WEIGHT, false);
}

/* Gives n turns of `ns` each to whoever is next. */
static void turns(unsigned n, uint64_t ns)
{
    while (n-- > 0) {
        struct sched_entity *e = sched_pick();
        assert_non_null(e);
        sched_charge(e, ns);
        sched_requeue(e);
    }
}

static void time_goes_by_weight(void **state)
{
    (void)state;
    start();
    sched_wake(&a);
    sched_wake(&c);
    turns(1000, MS);
    assert_in_range(a.cpu_ns, 199 * MS, 201 * MS);
    assert_in_range(c.cpu_ns, 799 * MS, 801 * MS);
}

/* One that sleeps long and often gets its fair part and no more. */
static void a_sleeper_gets_no_more_than_its_part(void **state)
{
    (void)state;
    start();
    sched_wake(&a);
    sched_wake(&b);
    for (unsigned i = 0; i < 1000; i++) {
        sched_remove(&b);
        turns(1, MS);
        sched_wake(&b);
        turns(1, MS);
    }
    assert_in_range(b.cpu_ns, 0, 1005 * MS);
}

/* A short turn, and then long work of the core on its behalf, such as a reboot: it is behind all others then. */
static void work_between_turns_is_paid_for(void **state)
{
    uint64_t for_b = 0;

    (void)state;
    start();
    sched_wake(&a);
    sched_wake(&b);
    for (unsigned i = 0; i < 1000; i++) {
        struct sched_entity *e = sched_pick();
        if (e == &b) {
            sched_charge(e, MS);
            sched_requeue(e);
            for_b++;
        } else {
            sched_charge(e, 1000);
            sched_wake(e); /* it starts again */
            sched_charge(e, 20 * MS);
        }
    }
    assert_in_range(for_b, 940, 960);
    assert_in_range(a.cpu_ns, 900 * MS, 1060 * MS);
}

static void a_charge_keeps_the_queue_in_order(void **state)
{
    (void)state;
    start();
    sched_wake(&a);
    sched_wake(&b);
    sched_wake(&c);
    sched_charge(&a, 3 * MS);
    sched_charge(&c, 4 * MS); /* a quarter of that counts */
    assert_ptr_equal(sched_pick(), &b);
    assert_ptr_equal(sched_pick(), &c);
    assert_ptr_equal(sched_pick(), &a);
    assert_null(sched_pick());
    sched_charge(&a, MS);
    assert_null(sched_pick());
}

const struct CMUnitTest sched_tests[] = {
    cmocka_unit_test(time_goes_by_weight),
    cmocka_unit_test(a_sleeper_gets_no_more_than_its_part),
    cmocka_unit_test(work_between_turns_is_paid_for),
    cmocka_unit_test(a_charge_keeps_the_queue_in_order),
};
const size_t sched_test_count = sizeof sched_tests / sizeof sched_tests[0];
