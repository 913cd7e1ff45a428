/* SPDX-License-Identifier: MIT
 *
 * Unit tests of what a guest sees: hv/dev, CPUID, MSRs; one file for each part.
 */
#include "dev_machine.h"

int main(void)
{
    static struct CMUnitTest tests[200];
    size_t n = 0;
    const struct {
        const struct CMUnitTest *tests;
        size_t count;
    } parts[] = {
        {uart_tests, uart_test_count},     {apic_tests, apic_test_count},
        {ipi_tests, ipi_test_count},       {timer_tests, timer_test_count},
        {legacy_tests, legacy_test_count}, {ports_tests, ports_test_count},
        {virtio_tests, virtio_test_count}, {balloon_tests, balloon_test_count},
        {blk_tests, blk_test_count},       {acpi_tests, acpi_test_count},
        {cpuid_tests, cpuid_test_count},   {msr_tests, msr_test_count},
    };
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        memcpy(&tests[n], parts[i].tests, parts[i].count * sizeof tests[0]);
        n += parts[i].count;
    }
    return _cmocka_run_group_tests("dev", tests, n, NULL, NULL);
}
