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

    memcpy(tests, call_tests, call_test_count * sizeof tests[0]);
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return _cmocka_run_group_tests("vm", tests, call_test_count, NULL, NULL);
}
