/* SPDX-License-Identifier: MIT
 *
 * Unit tests of scheduler and timers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "sched_tests.h"

int main(void)
{
    static struct CMUnitTest tests[100];
    size_t count = 0;
    const struct {
        const struct CMUnitTest *tests;
        size_t count;
    } parts[] = {{fair_tests, fair_test_count},
                 {model_tests, model_test_count},
                 {timer_tests, timer_test_count},
                 {rule_tests, rule_test_count}}; /* the last of them takes virtual time to its end */

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        memcpy(tests + count, parts[i].tests, parts[i].count * sizeof tests[0]);
        count += parts[i].count;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("sched", tests, count, NULL, NULL);
}
