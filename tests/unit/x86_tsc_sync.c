/* SPDX-License-Identifier: MIT
 *
 * Two threads as two CPUs: clocks that agree, one that is ahead, one that is behind, and a CPU that falls silent.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "x86/tsc_sync.h"

/* A busy host may keep a thread from running for a while. */
#define PATIENCE 60000000000ull
#define SKEW     10000000000ull

static void *second(void *s)
{
    tsc_sync_second(s);
    return NULL;
}

static uint64_t meet(uint64_t skew)
{
    struct tsc_sync s = {.skew = skew};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, second, &s), 0);
    const uint64_t back = tsc_sync_first(&s, PATIENCE);
    pthread_join(thread, NULL);
    return back;
}

static void in_step(void **state)
{
    (void)state;
    assert_int_equal(meet(0), 0);
}

static void out_of_step(void **state)
{
    const uint64_t ahead = meet(SKEW), behind = meet(-SKEW);

    (void)state;
    /* By what the messages took it seems smaller than it is. */
    assert_true(ahead <= SKEW && ahead > SKEW / 2);
    assert_true(behind <= SKEW && behind > SKEW / 2);
}

static void silent(void **state)
{
    struct tsc_sync s = {0};

    (void)state;
    assert_true(tsc_sync_first(&s, 1000000) == TSC_SYNC_SILENT);
    tsc_sync_second(
        &s); /* awakes late: one answer to the message that is there, and no waiting for another */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_step),
        cmocka_unit_test(out_of_step),
        cmocka_unit_test(silent),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("x86_tsc_sync", tests, NULL, NULL);
}
