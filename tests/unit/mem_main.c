/* SPDX-License-Identifier: MIT
 *
 * Unit tests of hv/mem, one file for each part.
 */
#include "mem_machine.h"

uint64_t machine_core;
const struct pt_format *const both_formats[2] = {&pt_format_ept, &pt_format_npt};

void machine(uint64_t frames)
{
    host_env_reset(frames);
    machine_core = (frames_bytes(frames) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_init(direct_base, frames);
    frames_add(0, machine_core, FRAME_CORE);
    frames_add(machine_core, frames - machine_core, FRAME_FREE);
}

void assert_ledger(struct p2m *const *maps, size_t count)
{
    struct tithe_ledger ledger;

    ledger_check(maps, count, &ledger);
    if (ledger.differences) fail_msg("%lu differences: %s", ledger.differences, ledger.first);
    assert_int_equal(host_env_locks(), 0);
}

int main(void)
{
    static struct CMUnitTest tests[100];
    size_t n = 0;
    const struct {
        const struct CMUnitTest *tests;
        size_t count;
    } parts[] = {
        {frame_tests, frame_test_count},       {pt_tests, pt_test_count},
        {host_map_tests, host_map_test_count}, {p2m_tests, p2m_test_count},
        {ledger_tests, ledger_test_count},     {share_tests, share_test_count},
    };

    for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
        memcpy(&tests[n], parts[p].tests, parts[p].count * sizeof(tests[0]));
        n += parts[p].count;
    }
    const int failed = _cmocka_run_group_tests("mem", tests, n, NULL, NULL);
    host_env_end();
    return failed;
}
