/* SPDX-License-Identifier: MIT
 *
 * The ACPI tables, read as a kernel reads them.
 */
#include "dev_machine.h"

#include "dev/aml.h"

#define WINDOW 0xE0000u

static uint64_t field(gpa_t at, size_t bytes)
{
    uint64_t value = 0;
    get(at, &value, bytes);
    return value;
}

static uint8_t sum(gpa_t at, uint64_t bytes)
{
    uint8_t total = 0;
    for (uint64_t i = 0; i < bytes; i++) total = (uint8_t)(total + field(at + i, 1));
    return total;
}

/* Follows XSDT (wide) or RSDT to a table and checks its checksum. */
static gpa_t find(const char *signature, bool wide)
{
    const gpa_t root = wide ? field(WINDOW + 24, 8) : field(WINDOW + 16, 4);
    const size_t entry = wide ? 8 : 4;
    assert_memory_equal(dm.ram + root, wide ? "XSDT" : "RSDT", 4);
    assert_int_equal(sum(root, field(root + 4, 4)), 0);
    for (uint64_t at = 36; at < field(root + 4, 4); at += entry) {
        const gpa_t table = field(root + at, entry);
        assert_int_equal(sum(table, field(table + 4, 4)), 0);
        if (memcmp(dm.ram + table, signature, 4) == 0) return table;
    }
    fail_msg("no table %s", signature);
    return 0;
}

static void the_root_is_where_kernels_look(void **state)
{
    (void)state;
    assert_true(acpi_tables_write(&dm.platform, 1));
    assert_memory_equal(dm.ram + WINDOW, "RSD PTR ", 8);
    assert_int_equal(sum(WINDOW, 20), 0);
    assert_int_equal(sum(WINDOW, 36), 0);
    assert_int_equal(find("FACP", true), find("FACP", false));
    assert_int_equal(find("APIC", true), find("APIC", false));
}

static void the_fadt_is_hardware_reduced(void **state)
{
    (void)state;
    assert_true(acpi_tables_write(&dm.platform, 1));
    const gpa_t fadt = find("FACP", true);
    assert_int_equal(field(fadt + 4, 4), 276);
    assert_int_equal(field(fadt + 112, 4) & (1u << 20 | 1u << 10), 1u << 20 | 1u << 10);
    assert_int_equal(field(fadt + 109, 2), 0x3C); /* no VGA, MSI, ASPM, CMOS clock; no 8042 */
    assert_int_equal(field(fadt + 116, 1), 1);    /* reset register: I/O, port, value */
    assert_int_equal(field(fadt + 120, 8), 0x602);
    assert_int_equal(field(fadt + 128, 1), 1);
    assert_int_equal(field(fadt + 248, 8), 0x600);
    assert_int_equal(field(fadt + 260, 8), 0x601);
    assert_int_equal(field(fadt + 40, 4), field(fadt + 140, 8));
    const gpa_t dsdt = field(fadt + 140, 8);
    assert_memory_equal(dm.ram + dsdt, "DSDT", 4);
    assert_int_equal(sum(dsdt, field(dsdt + 4, 4)), 0);
}

static void the_madt_lists_every_vcpu(void **state)
{
    (void)state;
    for (uint32_t vcpus = 1; vcpus <= 8; vcpus++) {
        assert_true(acpi_tables_write(&dm.platform, vcpus));
        const gpa_t madt = find("APIC", true);
        uint32_t lapics = 0, ioapics = 0, overrides = 0;
        for (uint64_t at = 44; at < field(madt + 4, 4); at += field(madt + at + 1, 1)) {
            switch (field(madt + at, 1)) {
            case 0:
                assert_int_equal(field(madt + at + 3, 1), lapics++);
                assert_int_equal(field(madt + at + 4, 4), 1);
                break;
            case 1:
                ioapics++;
                assert_int_equal(field(madt + at + 4, 4), IOAPIC_BASE);
                break;
            case 2:
                overrides++;
                assert_int_equal(field(madt + at + 3, 1), 0);
                assert_int_equal(field(madt + at + 4, 4), 2);
                break;
            default: break;
            }
        }
        assert_int_equal(lapics, vcpus);
        assert_int_equal(ioapics, 1);
        assert_int_equal(overrides, 1);
    }
}

/* What a disassembler (iasl of ACPICA) says about these bytes:
 *   Name (\_S5, Package (4) {5, 0, 0, 0})
 *   Scope (\_SB) { Device (VIO0) { Name (_HID, "LNRO0005") Name (_UID, 0) Name (_CRS, ResourceTemplate () {
 *       Memory32Fixed (ReadWrite, 0xD0000000, 0x1000) Interrupt (ResourceConsumer, Level, ActiveHigh, Exclusive) {16} }) }
 *     Device (COM1) { Name (_HID, EisaId ("PNP0501")) Name (_UID, 1) Name (_CRS, ResourceTemplate () {
 *       IO (Decode16, 0x3F8, 0x3F8, 1, 8) Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) {4} }) } } */
static const uint8_t dsdt_body[] = {
    0x08, '\\', '_',  'S',  '5',  '_',  0x12, 0x48, 0x00, 0x04, 0x0A, 0x05, 0x00, 0x00, 0x00, 0x10,
    0x4C, 0x07, '\\', '_',  'S',  'B',  '_',  0x5B, 0x82, 0x4D, 0x03, 'V',  'I',  'O',  '0',  0x08,
    '_',  'H',  'I',  'D',  0x0D, 'L',  'N',  'R',  'O',  '0',  '0',  '0',  '5',  0x00, 0x08, '_',
    'U',  'I',  'D',  0x00, 0x08, '_',  'C',  'R',  'S',  0x11, 0x4C, 0x01, 0x0B, 0x17, 0x00, 0x86,
    0x09, 0x00, 0x01, 0x00, 0x00, 0x00, 0xD0, 0x00, 0x10, 0x00, 0x00, 0x89, 0x06, 0x00, 0x01, 0x01,
    0x10, 0x00, 0x00, 0x00, 0x79, 0x00, 0x5B, 0x82, 0x44, 0x03, 'C',  'O',  'M',  '1',  0x08, '_',
    'H',  'I',  'D',  0x0C, 0x41, 0xD0, 0x05, 0x01, 0x08, '_',  'U',  'I',  'D',  0x01, 0x08, '_',
    'C',  'R',  'S',  0x11, 0x48, 0x01, 0x0B, 0x13, 0x00, 0x47, 0x01, 0xF8, 0x03, 0xF8, 0x03, 0x01,
    0x08, 0x89, 0x06, 0x00, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00, 0x79, 0x00,
};

static void the_dsdt_is_the_one_that_was_disassembled(void **state)
{
    (void)state;
    assert_true(acpi_tables_write(&dm.platform, 1));
    const gpa_t dsdt = field(find("FACP", true) + 40, 4);
    assert_int_equal(field(dsdt + 4, 4), 36 + sizeof dsdt_body);
    assert_memory_equal(dm.ram + dsdt + 36, dsdt_body, sizeof dsdt_body);
}

/* mov dx, 0x602; mov al, 1; out dx, al */
static void the_reset_vector_resets(void **state)
{
    (void)state;
    assert_true(reset_vector_write(&dm.platform));
    assert_memory_equal(dm.ram + 0xFFFF0, "\xBA\x02\x06\xB0\x01\xEE", 6);
}

static void aml_says_when_it_is_full(void **state)
{
    (void)state;
    uint8_t room[8];
    struct aml a = {.at = room, .end = room + sizeof room};
    uint8_t *opened = aml_resources(&a);
    aml_memory32(&a, 1, 2);
    aml_resources_close(&a, opened);
    assert_true(a.full);
    static uint8_t large[8192];
    a = (struct aml){.at = large, .end = large + sizeof large};
    opened = aml_scope(&a, "\\_SB_");
    for (unsigned i = 0; i < 4100; i++) aml_byte(&a, 0);
    aml_close(&a, opened); /* longer than a length can say */
    assert_true(a.full);
    a = (struct aml){.at = large, .end = large + sizeof large};
    aml_integer(&a, 0xFF);
    aml_integer(&a, 0x100);
    assert_memory_equal(large, "\x0A\xFF\x0C\x00\x01\x00\x00", 7);
}

const struct CMUnitTest acpi_tests[] = {
    TEST(the_root_is_where_kernels_look), TEST(the_fadt_is_hardware_reduced),
    TEST(the_madt_lists_every_vcpu),      TEST(the_dsdt_is_the_one_that_was_disassembled),
    TEST(the_reset_vector_resets),        TEST(aml_says_when_it_is_full),
};
const size_t acpi_test_count = ARRAY_LEN(acpi_tests);
