/* SPDX-License-Identifier: MIT
 *
 * Command line, memory map, and the readers of what Multiboot2 and PVH loaders leave in memory, sound and
 * hostile.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "boot/boot_priv.h"
#include "boot/layout.h"
#include "lib/log.h"

/* Physical memory, as far as boot_data reaches. */
#define MEMORY_BYTES 0x100000u
static char *memory;
static char last_log[512];

const void *boot_data(uint64_t hpa, uint64_t bytes)
{
    return bytes <= MEMORY_BYTES && hpa <= MEMORY_BYTES - bytes ? memory + hpa : NULL;
}

void log_line(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void)fmt_vstring(last_log, sizeof last_log, fmt, args);
    va_end(args);
}

static int reset(void **state)
{
    (void)state;
    free(memory);
    memory = calloc(1, MEMORY_BYTES);
    memset(&boot_info, 0, sizeof boot_info);
    (void)memmap_finish(); /* forgets what was added */
    last_log[0] = '\0';
    return memory == NULL;
}

static int end(void **state)
{
    (void)state;
    free(memory);
    memory = NULL;
    return 0;
}

/* ---- options ---- */

static void options(void **state)
{
    char value[8];

    (void)state;
    boot_cmdline_set("leave=qemu  test\ttick=250 size=0x10M tick=500 off=0 long=0123456789", 100);
    assert_true(boot_option("leave", value, sizeof value));
    assert_string_equal(value, "qemu");
    assert_true(boot_option("test", value, sizeof value));
    assert_string_equal(value, "");
    assert_true(boot_option("long", value, sizeof value));
    assert_string_equal(value, "0123456");
    assert_false(boot_option("tes", value, sizeof value));
    assert_false(boot_option("tests", value, sizeof value));
    assert_true(boot_flag("test") && boot_flag("leave") && !boot_flag("off") && !boot_flag("absent"));
    assert_int_equal(boot_option_u64("tick", 1), 500); /* the last wins */
    assert_int_equal(boot_option_u64("size", 1), 16ull << 20);
    assert_int_equal(boot_option_u64("absent", 77), 77);
}

static void option_numbers(void **state)
{
    static const struct {
        const char *text;
        uint64_t value;
    } cases[] = {
        {"0", 0},
        {"64k", 65536},
        {"3G", 3ull << 30},
        {"18446744073709551615", UINT64_MAX},
        {"0xffffffffffffffff", UINT64_MAX},
        {"18446744073709551616", 5},
        {"16777216T", 5},
        {"17179869184G", 5},
        {"-1", 5},
        {"", 5},
        {"0x", 5},
        {"1M1", 5},
        {"12 ", 12},
        {"ff", 5},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char line[64];
        last_log[0] = '\0';
        snprintf(line, sizeof line, "n=%s", cases[i].text);
        boot_cmdline_set(line, sizeof line);
        assert_int_equal(boot_option_u64("n", 5), cases[i].value);
        assert_int_equal(last_log[0] != '\0', cases[i].value == 5);
    }
}

static void long_command_line(void **state)
{
    static char line[3000];

    (void)state;
    memset(line, 'a', sizeof line);
    boot_cmdline_set(line, sizeof line); /* without a NUL */
    assert_int_equal(strlen(boot_info.cmdline), BOOT_CMDLINE_MAX_BYTES - 1);
    assert_non_null(strstr(last_log, "longer"));
}

/* ---- memory map ---- */

static void expect_map(const struct boot_mem *expected, size_t count)
{
    assert_null(memmap_finish());
    assert_int_equal(boot_info.mem_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(boot_info.mem[i].start, expected[i].start);
        assert_int_equal(boot_info.mem[i].end, expected[i].end);
        assert_int_equal(boot_info.mem[i].type, expected[i].type);
    }
}

static void map_sorts_and_merges(void **state)
{
    (void)state;
    assert_true(memmap_add(0x300000, 0x100000, BOOT_MEM_RAM));
    assert_true(memmap_add(0x100000, 0x100000, BOOT_MEM_RAM));
    assert_true(memmap_add(0x200000, 0x100000, BOOT_MEM_RAM));
    assert_true(memmap_add(0x0, 0x9fc00, BOOT_MEM_RAM));
    assert_true(memmap_add(0x9fc00, 0x400, BOOT_MEM_RESERVED));
    assert_true(memmap_add(0x400000, 0, BOOT_MEM_RAM));
    expect_map((const struct boot_mem[]){{0, 0x9f000, BOOT_MEM_RAM},
                                         {0x9f000, 0xa0000, BOOT_MEM_RESERVED},
                                         {0x100000, 0x400000, BOOT_MEM_RAM}},
               3);
}

static void map_overlaps_go_to_the_cautious(void **state)
{
    (void)state;
    assert_true(memmap_add(0x100000, 0x900000, BOOT_MEM_RAM));
    assert_true(memmap_add(0x200800, 0x100, BOOT_MEM_RESERVED));
    assert_true(memmap_add(0x300000, 0x2000, BOOT_MEM_ACPI));
    assert_true(memmap_add(0x301000, 0x2000, BOOT_MEM_RESERVED));
    assert_true(memmap_add(0x100000, 0x1000, BOOT_MEM_RAM));
    expect_map((const struct boot_mem[]){{0x100000, 0x200000, BOOT_MEM_RAM},
                                         {0x200000, 0x201000, BOOT_MEM_RESERVED},
                                         {0x201000, 0x300000, BOOT_MEM_RAM},
                                         {0x300000, 0x301000, BOOT_MEM_ACPI},
                                         {0x301000, 0x303000, BOOT_MEM_RESERVED},
                                         {0x303000, 0xa00000, BOOT_MEM_RAM}},
               6);
}

static void map_edges(void **state)
{
    (void)state;
    assert_true(memmap_add(UINT64_MAX - 100, 200, BOOT_MEM_RAM)); /* wraps */
    assert_true(memmap_add(UINT64_MAX - 0x2fff, UINT64_MAX, BOOT_MEM_RESERVED));
    assert_true(memmap_add(0x1001, 0xffe, BOOT_MEM_RAM)); /* less than a page */
    assert_true(memmap_add(0x1001, 0x2fff, BOOT_MEM_RAM));
    expect_map((const struct boot_mem[]){{0x2000, 0x4000, BOOT_MEM_RAM},
                                         {UINT64_MAX - 0x2fff, PAGE_MASK, BOOT_MEM_RESERVED}},
               2);
}

static void map_may_be_too_much_or_nothing(void **state)
{
    size_t n = 0;

    (void)state;
    assert_non_null(memmap_finish());
    while (memmap_add(n * 0x10000, 0x1000, n % 2 ? BOOT_MEM_RAM : BOOT_MEM_ACPI) && n < 100000) n++;
    assert_true(n >= 200 && n < 100000);
    assert_null(memmap_finish());
    assert_int_equal(boot_info.mem_count, n);
}

/* Against one byte per page. */
static void map_random(void **state)
{
    (void)state;
    srand(2);
    for (unsigned round = 0; round < 300; round++) {
        uint8_t page[256] = {0};
        for (int n = rand() % 40 + 1; n > 0; n--) {
            uint64_t start = (uint64_t)rand() % 0xff000, bytes = (uint64_t)rand() % (0x100000 - start);
            enum boot_mem_type type = (enum boot_mem_type)(rand() % 3 + 1);
            uint64_t first = type == BOOT_MEM_RAM ? (start + 4095) / 4096 : start / 4096;
            uint64_t last = type == BOOT_MEM_RAM ? (start + bytes) / 4096 : (start + bytes + 4095) / 4096;
            assert_true(memmap_add(start, bytes, type));
            for (uint64_t i = first; i < last; i++)
                if (page[i] < type) page[i] = type;
        }
        (void)memmap_finish();
        for (size_t i = 0; i < boot_info.mem_count; i++) {
            const struct boot_mem *m = &boot_info.mem[i];
            assert_true(m->start < m->end &&
                        (i == 0 || m[-1].end < m->start || (m[-1].end == m->start && m[-1].type != m->type)));
            for (uint64_t p = m->start / 4096; p < m->end / 4096; p++) {
                assert_int_equal(page[p], m->type);
                page[p] = 0;
            }
        }
        for (unsigned p = 0; p < 256; p++) assert_int_equal(page[p], 0);
    }
}

/* ---- root pointer ---- */

static void make_rsdp(uint8_t *r, unsigned revision)
{
    uint8_t sum = 0;

    memset(r, 0, 36);
    memcpy(r, "RSD PTR ", 8);
    r[15] = (uint8_t)revision;
    r[16] = 0x78; /* RSDT at 0x78 */
    r[20] = 36;
    r[24] = 0x9a; /* XSDT at 0x9a */
    for (unsigned i = 0; i < 20; i++) sum = (uint8_t)(sum + r[i]);
    r[8] = (uint8_t)-sum;
    sum = 0;
    for (unsigned i = 0; i < 36; i++) sum = (uint8_t)(sum + r[i]);
    r[32] = (uint8_t)-sum;
}

static void root_pointer(void **state)
{
    uint8_t r[36];

    (void)state;
    make_rsdp(r, 0);
    assert_true(boot_rsdp_take(r, 20));
    assert_int_equal(boot_info.rsdt, 0x78);
    assert_int_equal(boot_info.xsdt, 0);
    make_rsdp(r, 2);
    assert_false(boot_rsdp_take(r, 19));
    assert_true(boot_rsdp_take(r, 36));
    assert_int_equal(boot_info.xsdt, 0x9a);
    r[3] ^= 1;
    assert_false(boot_rsdp_take(r, 36));

    memset(&boot_info, 0, sizeof boot_info);
    make_rsdp((uint8_t *)memory + 0xf5a40, 2);
    boot_rsdp_scan();
    assert_int_equal(boot_info.xsdt, 0x9a);
}

/* ---- loaders ---- */

#define INFO 0x8000u

struct writer {
    uint32_t at; /* in memory */
};

static void put32(struct writer *w, uint32_t v)
{
    memcpy(memory + w->at, &v, 4);
    w->at += 4;
}

static void put64(struct writer *w, uint64_t v)
{
    put32(w, (uint32_t)v);
    put32(w, (uint32_t)(v >> 32));
}

static void tag(struct writer *w, uint32_t type, uint32_t payload_bytes)
{
    w->at = (w->at + 7) & ~7u;
    put32(w, type);
    put32(w, payload_bytes + 8);
}

static uint32_t make_multiboot2(void)
{
    struct writer w = {INFO + 8};

    tag(&w, 1, 11);
    memcpy(memory + w.at, "leave=qemu", 11);
    w.at += 11;
    tag(&w, 3, 12);
    put32(&w, 0x500000), put32(&w, 0x600000), put32(&w, 0);
    tag(&w, 12, 8);
    put64(&w, 1);
    tag(&w, 6, 8 + 2 * 24);
    put32(&w, 24), put32(&w, 0);
    put64(&w, 0), put64(&w, 0xa0000), put64(&w, 1);
    put64(&w, 0x100000), put64(&w, 0xff00000), put64(&w, 1);
    tag(&w, 15, 36);
    make_rsdp((uint8_t *)memory + w.at, 2);
    w.at += 36;
    tag(&w, 0, 0);
    uint32_t bytes = w.at - INFO;
    w.at = INFO;
    put32(&w, bytes), put32(&w, 0);
    return bytes;
}

static void multiboot2(void **state)
{
    (void)state;
    make_multiboot2();
    assert_null(multiboot2_read(INFO));
    assert_null(memmap_finish());
    assert_string_equal(boot_info.machine, "multiboot2 uefi");
    assert_string_equal(boot_info.cmdline, "leave=qemu");
    assert_int_equal(boot_info.module, 0x500000);
    assert_int_equal(boot_info.module_bytes, 0x100000);
    assert_int_equal(boot_info.xsdt, 0x9a);
    assert_int_equal(boot_info.mem_count, 2);
    assert_int_equal(boot_info.mem[1].end, 0x10000000);

    assert_non_null(multiboot2_read(INFO + 4));
    assert_non_null(multiboot2_read(MEMORY_BYTES - 4));
    assert_non_null(multiboot2_read(0xfffffff8));
}

/* Random damage: an answer, and (the sanitizer looks) no access outside. The information is put at the very
 * end of memory. */
static void multiboot2_hostile(void **state)
{
    uint32_t bytes = make_multiboot2();
    char *sound = malloc(bytes);
    uint32_t info = (MEMORY_BYTES - bytes) & ~7u;

    (void)state;
    memcpy(sound, memory + INFO, bytes);
    srand(3);
    for (unsigned round = 0; round < 30000; round++) {
        memcpy(memory + info, sound, bytes);
        for (int n = rand() % 6; n >= 0; n--) {
            uint32_t word = (uint32_t)rand() % (bytes / 4), value = (uint32_t)rand();
            if (rand() % 2) value = (uint32_t)(rand() % 64) - 8;
            memcpy(memory + info + 4 * word, &value, 4);
        }
        memset(&boot_info, 0, sizeof boot_info);
        (void)multiboot2_read(info);
        (void)memmap_finish();
        assert_true(memchr(boot_info.cmdline, 0, BOOT_CMDLINE_MAX_BYTES) != NULL);
    }
    free(sound);
}

static void make_pvh(void)
{
    struct writer w = {INFO};

    put32(&w, 0x336ec578), put32(&w, 1), put32(&w, 0), put32(&w, 1);
    put64(&w, 0x9000), put64(&w, 0xa000), put64(&w, 0xb000), put64(&w, 0xc000);
    put32(&w, 1), put32(&w, 0);
    w.at = 0x9000;
    put64(&w, 0x700000), put64(&w, 0x1234), put64(&w, 0), put64(&w, 0);
    strcpy(memory + 0xa000, "self-test");
    make_rsdp((uint8_t *)memory + 0xb000, 2);
    w.at = 0xc000;
    put64(&w, 0x100000), put64(&w, 0x700000), put64(&w, 1);
}

static void pvh(void **state)
{
    (void)state;
    make_pvh();
    assert_null(pvh_read(INFO));
    assert_null(memmap_finish());
    assert_string_equal(boot_info.machine, "pvh");
    assert_string_equal(boot_info.cmdline, "self-test");
    assert_int_equal(boot_info.module, 0x700000);
    assert_int_equal(boot_info.module_bytes, 0x1234);
    assert_int_equal(boot_info.rsdt, 0x78);
    assert_int_equal(boot_info.mem_count, 1);

    memory[INFO] ^= 1;
    assert_non_null(strstr(pvh_read(INFO), "neither"));
    assert_non_null(pvh_read(0));
    assert_non_null(pvh_read(UINT32_MAX));
}

static void pvh_hostile(void **state)
{
    char sound[56];

    (void)state;
    make_pvh();
    memcpy(sound, memory + INFO, sizeof sound);
    srand(4);
    for (unsigned round = 0; round < 30000; round++) {
        memcpy(memory + INFO, sound, sizeof sound);
        uint32_t word = 1 + (uint32_t)rand() % 13, value = (uint32_t)rand();
        if (rand() % 2) value = MEMORY_BYTES - (uint32_t)rand() % 64;
        memcpy(memory + INFO + 4 * word, &value, 4);
        memset(&boot_info, 0, sizeof boot_info);
        (void)pvh_read(INFO);
        (void)memmap_finish();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(options, reset),
        cmocka_unit_test_setup(option_numbers, reset),
        cmocka_unit_test_setup(long_command_line, reset),
        cmocka_unit_test_setup(map_sorts_and_merges, reset),
        cmocka_unit_test_setup(map_overlaps_go_to_the_cautious, reset),
        cmocka_unit_test_setup(map_edges, reset),
        cmocka_unit_test_setup(map_may_be_too_much_or_nothing, reset),
        cmocka_unit_test_setup(map_random, reset),
        cmocka_unit_test_setup(root_pointer, reset),
        cmocka_unit_test_setup(multiboot2, reset),
        cmocka_unit_test_setup(multiboot2_hostile, reset),
        cmocka_unit_test_setup(pvh, reset),
        cmocka_unit_test_setup(pvh_hostile, reset),
    };
    return cmocka_run_group_tests_name("boot", tests, NULL, end);
}
