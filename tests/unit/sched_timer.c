/* SPDX-License-Identifier: MIT
 *
 * Timers: each fires on the CPU that set it last, in order, once, and not before its time.
 */
#include "host_env.h"

#include "vm/timer.h"
#include "vm_cpus.h"
#include "x86/percpu.h"
#include "x86/time.h"

#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sched_tests.h"

#define TIMERS 60u
#define CPUS   3u

static struct timer timers[TIMERS];
static uint64_t now_ns, expected_ns[TIMERS]; /* NO_DEADLINE: not set */
static uint32_t expected_cpu[TIMERS];
static uint64_t seed = 5, last_ns;
static unsigned fired;
static uint64_t again_ns; /* 0: fire does not set it again */

static void fire(struct timer *t, uint64_t at_ns)
{
    const size_t i = (size_t)(t - timers);
    assert_int_equal(host_env_locks(), 0);
    assert_int_equal(at_ns, now_ns);
    assert_int_equal(expected_cpu[i], cpu_index());
    assert_in_range(expected_ns[i], last_ns, now_ns);
    assert_int_equal(t->deadline_ns, NO_DEADLINE);
    last_ns = expected_ns[i];
    expected_ns[i] = NO_DEADLINE;
    fired++;
    if (again_ns != 0) {
        timer_set(t, again_ns);
        expected_ns[i] = t->deadline_ns;
        assert_int_equal(t->deadline_ns, again_ns > now_ns ? again_ns : now_ns + 1);
    }
}

static void start(void)
{
    cpus_reset(CPUS);
    for (uint32_t i = 0; i < CPUS; i++) {
        cpus_be(i);
        assert_int_equal(timers_run(now_ns), NO_DEADLINE);
    }
    cpus_be(0);
    fired = 0;
    again_ns = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        timer_init(&timers[i], fire);
        expected_ns[i] = NO_DEADLINE;
    }
}

static void set(size_t i, uint64_t deadline_ns)
{
    const uint64_t first = this_cpu()->timers_ns;
    timer_set(&timers[i], deadline_ns);
    expected_ns[i] = timers[i].deadline_ns;
    expected_cpu[i] = cpu_index();
    assert_int_equal(this_cpu()->timers_ns, deadline_ns < first ? deadline_ns : first);
    assert_true(expected_ns[i] == deadline_ns || (deadline_ns <= now_ns && expected_ns[i] <= now_ns + 1));
}

static void run(uint32_t cpu)
{
    uint64_t next = NO_DEADLINE;
    cpus_be(cpu);
    last_ns = 0;
    const uint64_t got = timers_run(now_ns);
    for (size_t i = 0; i < TIMERS; i++) {
        if (expected_ns[i] == NO_DEADLINE || expected_cpu[i] != cpu) continue;
        assert_true(expected_ns[i] > now_ns);
        next = expected_ns[i] < next ? expected_ns[i] : next;
    }
    assert_int_equal(got, next);
    assert_int_equal(this_cpu()->timers_ns, NO_DEADLINE);
}

static void each_in_its_time(void **state)
{
    (void)state;
    start();
    for (unsigned n = 0; n < 50000; n++) {
        const size_t i = random_next(&seed) % TIMERS;
        cpus_be((uint32_t)(random_next(&seed) % CPUS));
        switch (random_next(&seed) % 8) {
        case 0: set(i, NO_DEADLINE); break;
        case 1: set(i, now_ns - (now_ns < 100 ? 0 : random_next(&seed) % 100)); break;
        case 2:
            timer_cancel(&timers[i]);
            expected_ns[i] = NO_DEADLINE;
            break;
        case 3:
            now_ns += random_next(&seed) % 300;
            run((uint32_t)(random_next(&seed) % CPUS));
            break;
        default: set(i, now_ns + random_next(&seed) % 1000); break;
        }
    }
    assert_in_range(fired, 3000, 50000);
    now_ns += 2000;
    for (uint32_t i = 0; i < CPUS; i++) run(i);
    for (size_t i = 0; i < TIMERS; i++) assert_int_equal(expected_ns[i], NO_DEADLINE);
}

/* One that sets itself to the past fires once in a round, not for ever. */
static void the_past_is_the_next_round(void **state)
{
    (void)state;
    start();
    set(0, now_ns + 5);
    set(1, now_ns + 7);
    now_ns += 10;
    again_ns = 1;
    run(0);
    assert_int_equal(fired, 2);
    assert_int_equal(timers[0].deadline_ns, now_ns + 1);
    now_ns++;
    again_ns = 0;
    run(0);
    assert_int_equal(fired, 4);
}

const struct CMUnitTest timer_tests[] = {
    cmocka_unit_test(each_in_its_time),
    cmocka_unit_test(the_past_is_the_next_round),
};
const size_t timer_test_count = sizeof timer_tests / sizeof timer_tests[0];
