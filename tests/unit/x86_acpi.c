/* SPDX-License-Identifier: MIT
 *
 * The MADT: which CPUs a machine has, from firmware of every kind.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/log.h"
#include "x86/acpi.h"
#include "x86/host_map.h"

#define ROOT_AT     0x1000u
#define MADT_AT     0x2000u
#define TABLE_BYTES 0x1000u
#define HEADER      36u
#define ENABLED     1u
#define CAPABLE     2u

/* Each table has memory of its own, just as long as it says: reading past its end shows. */
static uint8_t *root, *madt;
static uint32_t madt_bytes;

static const void *inside(const uint8_t *table, uint32_t bytes, hpa_t at, hpa_t hpa, uint64_t size)
{
    return hpa == at && size <= bytes ? table : NULL;
}

const void *host_map_firmware(hpa_t hpa, uint64_t bytes)
{
    const void *found = inside(root, HEADER + 8, ROOT_AT, hpa, bytes);

    return found != NULL ? found : inside(madt, madt_bytes, MADT_AT, hpa, bytes);
}

void log_line(const char *fmt, ...)
{
    (void)fmt;
}

static void seal(uint8_t *table, const char *signature, uint32_t bytes)
{
    uint8_t sum = 0;

    memcpy(table, signature, 4);
    memcpy(table + 4, &bytes, 4);
    table[9] = 0;
    for (uint32_t i = 0; i < bytes; i++) sum = (uint8_t)(sum + table[i]);
    table[9] = (uint8_t)-sum;
}

static int reset(void **state)
{
    (void)state;
    root = calloc(1, HEADER + 8);
    madt = calloc(1, TABLE_BYTES);
    madt_bytes = HEADER + 8; /* address of the APICs, flags */
    memset(&acpi_info, 0, sizeof acpi_info);
    return root == NULL || madt == NULL;
}

static int end(void **state)
{
    (void)state;
    free(root);
    free(madt);
    return 0;
}

static void entry(const void *bytes, uint8_t count)
{
    assert_true(madt_bytes + count <= TABLE_BYTES);
    memcpy(madt + madt_bytes, bytes, count);
    madt_bytes += count;
}

static void lapic(uint8_t id, uint8_t flags)
{
    entry((const uint8_t[8]){0, 8, id, id, flags}, 8);
}

static void x2apic(uint32_t id, uint8_t flags)
{
    uint8_t e[16] = {9, 16, [8] = flags};

    memcpy(e + 4, &id, 4);
    entry(e, 16);
}

static void read_tables(void)
{
    const struct boot_info boot = {.rsdt = ROOT_AT};
    const uint32_t at = MADT_AT;

    madt = realloc(madt, madt_bytes);
    assert_non_null(madt);
    seal(madt, "APIC", madt_bytes);
    memcpy(root + HEADER, &at, 4);
    seal(root, "RSDT", HEADER + 8);
    acpi_init(&boot);
}

static void expect(const uint32_t *ids, uint32_t count)
{
    read_tables();
    assert_int_equal(acpi_info.cpu_count, count);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(acpi_info.cpu_apic_id[i], ids[i]);
}

/* The order is the firmware's: the boot CPU (0 here) stands where it stood. */
static void local_apics(void **state)
{
    (void)state;
    lapic(3, ENABLED);
    lapic(1, 0);
    lapic(5, CAPABLE); /* a socket for one */
    lapic(0, ENABLED);
    lapic(255, ENABLED); /* the broadcast id: nobody's */
    lapic(3, ENABLED);   /* again */
    lapic(2, ENABLED | CAPABLE);
    expect((const uint32_t[]){3, 0, 2}, 3);
    assert_false(acpi_info.cpus_left_out);
}

static void x2apics(void **state)
{
    (void)state;
    x2apic(0x12345, ENABLED);
    lapic(7, ENABLED);
    x2apic(7, ENABLED); /* listed in both formats */
    x2apic(255, ENABLED);
    x2apic(256, 0);
    x2apic(UINT32_MAX, ENABLED);
    lapic(8, 0);
    x2apic(8, ENABLED); /* only one of both is enabled */
    expect((const uint32_t[]){0x12345, 7, 255, 8}, 4);
}

static void more_than_fit(void **state)
{
    uint32_t ids[CPUS_MAX];

    (void)state;
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        ids[i] = i * 2;
        lapic((uint8_t)(i * 2), ENABLED);
    }
    lapic(0, ENABLED); /* not one more */
    lapic(1, 0);
    expect(ids, CPUS_MAX);
    assert_false(acpi_info.cpus_left_out);

    end(NULL);
    assert_false(reset(NULL));
    for (uint32_t i = 0; i < 100; i++) x2apic(1000 + i, ENABLED);
    for (uint32_t i = 0; i < CPUS_MAX; i++) ids[i] = 1000 + i;
    expect(ids, CPUS_MAX);
    assert_true(acpi_info.cpus_left_out);
}

static void entries_that_lie(void **state)
{
    (void)state;
    entry((const uint8_t[6]){0, 6, 4, 4, ENABLED}, 6); /* too short for what it is */
    entry((const uint8_t[12]){9, 12, 0, 0, 9, 0, 0, 0, ENABLED}, 12);
    entry((const uint8_t[4]){200, 4}, 4); /* unknown */
    lapic(1, ENABLED);
    entry((const uint8_t[8]){0, 9, 2, 2, ENABLED}, 8); /* ends past the table */
    expect((const uint32_t[]){1}, 1);

    end(NULL);
    assert_false(reset(NULL));
    lapic(1, ENABLED);
    entry((const uint8_t[2]){0, 0}, 2); /* would go on for ever */
    lapic(2, ENABLED);
    expect((const uint32_t[]){1}, 1);
}

static void without_a_list(void **state)
{
    const struct boot_info none = {0};

    (void)state;
    expect(NULL, 0);
    assert_int_equal(acpi_info.ioapic_count, 1);
    assert_int_equal(acpi_info.ioapic[0].address, 0xfec00000);
    memset(&acpi_info, 0, sizeof acpi_info);
    acpi_init(&none);
    assert_int_equal(acpi_info.cpu_count, 0);

    end(NULL);
    assert_false(reset(NULL));
    lapic(1, ENABLED);
    read_tables();
    assert_int_equal(acpi_info.cpu_count, 1);
    memset(&acpi_info, 0, sizeof acpi_info);
    madt[HEADER + 8 + 3]++; /* the checksum does not fit */
    acpi_init(&(const struct boot_info){.rsdt = ROOT_AT});
    assert_int_equal(acpi_info.cpu_count, 0);
}

static void io_apics_and_overrides(void **state)
{
    (void)state;
    entry((const uint8_t[12]){1, 12, 0, 0, 0, 0x10, 0xc0, 0xfe, 24}, 12);
    entry((const uint8_t[10]){2, 10, 0, 4, 20, 0, 0, 0, 0xf}, 10);
    entry((const uint8_t[10]){2, 10, 0, 16, 21}, 10); /* no such line */
    read_tables();
    assert_int_equal(acpi_info.ioapic_count, 1);
    assert_int_equal(acpi_info.ioapic[0].address, 0xfec01000);
    assert_int_equal(acpi_info.ioapic[0].gsi_base, 24);
    assert_int_equal(acpi_info.isa[4].gsi, 20);
    assert_true(acpi_info.isa[4].active_low && acpi_info.isa[4].level);
    assert_int_equal(acpi_info.isa[5].gsi, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(local_apics, reset, end),
        cmocka_unit_test_setup_teardown(x2apics, reset, end),
        cmocka_unit_test_setup_teardown(more_than_fit, reset, end),
        cmocka_unit_test_setup_teardown(entries_that_lie, reset, end),
        cmocka_unit_test_setup_teardown(without_a_list, reset, end),
        cmocka_unit_test_setup_teardown(io_apics_and_overrides, reset, end),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("x86_acpi", tests, NULL, NULL);
}
