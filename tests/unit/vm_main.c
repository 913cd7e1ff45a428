/* SPDX-License-Identifier: MIT
 *
 * Unit tests of hv/vm and hv/steward/core: what a hostile steward or peer may ask of the core.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>

#include <cmocka.h>

#include "vm_tests.h"

int main(void)
{
    static struct CMUnitTest tests[100];
    size_t count = 0;
    const struct {
        const struct CMUnitTest *tests;
        size_t count;
    } parts[] = {{call_tests, call_test_count}, {mgmt_tests, mgmt_test_count}, {life_tests, life_test_count}};

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        memcpy(tests + count, parts[i].tests, parts[i].count * sizeof tests[0]);
        count += parts[i].count;
    }
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("vm", tests, count, NULL, NULL);
}
