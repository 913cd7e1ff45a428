/* SPDX-License-Identifier: MIT
 *
 * The guest loaders: good images, and broken ones.
 */
#include "load_guest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

static uint8_t kernel_bytes[BZIMAGE_BYTES], module_bytes[10000];
static struct image kernel, module;
static char reason[TITHE_REASON_MAX];
static struct load_result result;

static const char *load_args(bool with_module, const char *cmdline)
{
    const struct load_request request = {
        .kernel = &kernel.source,
        .module = with_module ? &module.source : NULL,
        .kernel_name = "vmlinuz",
        .module_name = "initrd",
        .cmdline = cmdline,
    };
    return load_guest(&load_vm, &request, &result, reason);
}

static const char *load(bool with_module)
{
    return load_args(with_module, "console=ttyS0");
}

static void assert_refused(const char *why, const char *words)
{
    if (why == NULL) fail_msg("it was loaded; wanted: %s", words);
    if (strstr(why, words) == NULL) fail_msg("'%s' does not say '%s'", why, words);
}

static uint32_t ram32(gpa_t at)
{
    uint32_t value;
    memcpy(&value, guest_ram + at, sizeof value);
    return value;
}

static uint64_t ram64(gpa_t at)
{
    uint64_t value;
    memcpy(&value, guest_ram + at, sizeof value);
    return value;
}

static int setup_linux(void **state)
{
    (void)state;
    guest_reset(24 * MIB);
    image_init(&kernel, kernel_bytes, make_bzimage(kernel_bytes), 4096);
    for (size_t i = 0; i < sizeof module_bytes; i++) module_bytes[i] = (uint8_t)(i * 13);
    image_init(&module, module_bytes, sizeof module_bytes, 4096);
    return 0;
}

static int setup_multiboot(void **state)
{
    setup_linux(state);
    image_init(&kernel, kernel_bytes, make_multiboot(kernel_bytes), 4096);
    return 0;
}

/* ---- Linux ---- */

#define ZERO LOAD_INFO_GPA

static void linux_stands_at_its_entry(void **state)
{
    (void)state;
    assert_null(load(true));
    assert_int_equal(result.kind, TITHE_GUEST_LINUX);
    assert_int_equal(result.entry, 0x1000000);
    assert_int_equal(result.esi, ZERO);
    assert_int_equal(result.eax | result.ebx, 0);
    assert_memory_equal(guest_ram + 0x1000000, kernel_bytes + 1024, BZIMAGE_BYTES - 1024);
    assert_string_equal((char *)guest_ram + ram32(ZERO + 0x228), "console=ttyS0");
    assert_int_equal(guest_ram[ZERO + 0x210], 0xFF);
    assert_int_equal(ram32(ZERO + 0x214), 0x1000000);
    assert_int_equal(ram64(ZERO + 0x70), 0xE0000);
    const uint32_t initrd = ram32(ZERO + 0x218);
    assert_int_equal(ram32(ZERO + 0x21C), sizeof module_bytes);
    assert_int_equal(initrd, 24 * MIB - 12288); /* as high as it goes, page-aligned */
    assert_memory_equal(guest_ram + initrd, module_bytes, sizeof module_bytes);
    /* The GDT: flat code and data at 0x10 and 0x18. */
    assert_int_equal(result.gdt_limit, 31);
    assert_int_equal(ram64(result.gdt_base + 0x10), 0x00CF9B000000FFFF);
    assert_int_equal(ram64(result.gdt_base + 0x18), 0x00CF93000000FFFF);
}

static void assert_e820(unsigned index, uint64_t start, uint64_t bytes, uint32_t type)
{
    const gpa_t at = ZERO + 0x2D0 + 20 * index;
    assert_int_equal(ram64(at), start);
    assert_int_equal(ram64(at + 8), bytes);
    assert_int_equal(ram32(at + 16), type);
}

static void linux_learns_its_memory(void **state)
{
    (void)state;
    assert_null(load(false));
    assert_int_equal(guest_ram[ZERO + 0x1E8], 3);
    assert_e820(0, 0, 0xA0000, 1);
    assert_e820(1, 0xE0000, 0x20000, 2);
    assert_e820(2, 0x100000, 23 * MIB, 1);
    assert_int_equal(ram32(ZERO + 0x218), 0);
    guest_reset(5 * GIB);
    assert_null(load(true));
    assert_int_equal(guest_ram[ZERO + 0x1E8], 4);
    assert_e820(2, 0x100000, 0xC0000000 - MIB, 1);
    assert_e820(3, 4 * GIB, 2 * GIB, 1);
    assert_int_equal(ram32(ZERO + 0x218), 0x80000000 - 12288); /* initrd_addr_max */
}

static void the_initrd_stays_off_the_kernel(void **state)
{
    (void)state;
    guest_reset(0x1300000 + 8192);
    assert_refused(load(true), "initrd need 20 MiB");
    guest_reset(0x1300000 + 12288);
    assert_null(load(true));
    assert_int_equal(ram32(ZERO + 0x218), 0x1300000);
    guest_reset(0x1300000 + 8192);
    assert_null(load(false));
    put32(kernel_bytes + 0x22C, 0x1300000 - 1);
    guest_reset(64 * MIB);
    assert_refused(load(true), "initrd");
}

static void linux_needs_room_to_unpack(void **state)
{
    (void)state;
    guest_reset(0x1300000 - PAGE_BYTES);
    assert_refused(load(false), "needs at least 19 MiB");
    guest_reset(MIB);
    assert_refused(load(false), "more than 1 MiB");
    guest_reset(0);
    assert_refused(load(false), "more than 1 MiB");
}

static void older_kernels_go_to_1_mib(void **state)
{
    (void)state;
    put16(kernel_bytes + 0x206, 0x209);
    assert_null(load(true));
    assert_int_equal(result.entry, 0x100000);
    setup_linux(state);
    kernel_bytes[0x234] = 0; /* not relocatable: it must be where code32_start says */
    assert_null(load(false));
    assert_int_equal(result.entry, 0x100000);
    setup_linux(state);
    kernel_bytes[0x1F1] = 0; /* four setup sectors, says the protocol */
    assert_null(load(false));
    assert_memory_equal(guest_ram + 0x1000000, kernel_bytes + 5 * 512, 512);
}

static void broken_headers(void **state)
{
    static const struct {
        uint32_t offset;
        uint8_t value;
        const char *words;
    } all[] = {
        {0x1FE, 0x54, "no guest kernel"}, {0x202, 'h', "no guest kernel"},
        {0x207, 0x01, "older than 2.06"}, {0x211, 0, "zImage"},
        {0x1F1, 15, "ends before"},       {0x1F1, 255, "ends before"},
        {0x201, 0x20, "cut short"},       {0x25C, 1, "impossible address"},
        {0x25B, 0, "impossible address"}, {0x263, 0xFF, "needs at least"},
        {0x25B, 0xF0, "needs at least"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        setup_linux(state);
        kernel_bytes[all[i].offset] = all[i].value;
        assert_refused(load(true), all[i].words);
    }
}

static void the_kind_can_be_demanded(void **state)
{
    setup_multiboot(state);
    const struct load_request request = {.kind = TITHE_GUEST_LINUX,
                                         .kernel = &kernel.source,
                                         .kernel_name = "k",
                                         .module_name = "",
                                         .cmdline = ""};
    assert_refused(load_guest(&load_vm, &request, &result, reason), "no setup header");
    struct load_request other = request;
    other.kind = 7;
    assert_refused(load_guest(&load_vm, &other, &result, reason), "no guest kernel");
}

static void long_command_lines(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    put32(kernel_bytes + 0x238, 599);
    assert_null(load_args(false, text));
    put32(kernel_bytes + 0x238, 597);
    assert_refused(load_args(false, text), "longer than this kernel reads");
}

static void every_truncation_is_refused_or_whole(void **state)
{
    (void)state;
    for (size_t bytes = 0; bytes < BZIMAGE_BYTES; bytes++) {
        guest_reset(24 * MIB);
        /* A copy of its own size, so that a read past it is seen. */
        uint8_t *copy = test_malloc(bytes + 1);
        memcpy(copy, kernel_bytes, bytes);
        image_init(&kernel, copy, bytes, 512);
        const char *why = load(true);
        if (bytes <= 1024) assert_non_null(why);
        test_free(copy);
        if (bytes > 2048) bytes += 96;
    }
}

static void no_frame_is_said(void **state)
{
    for (uint64_t limit = 0; limit < 24000; limit += 1000) {
        setup_linux(state);
        guest_write_limit = limit;
        const char *why = load(true);
        if (why != NULL) assert_refused(why, "no free frame");
        setup_multiboot(state);
        guest_write_limit = limit;
        why = load(true);
        if (why != NULL) assert_refused(why, "no free frame");
    }
}

/* ---- Multiboot ---- */

#define INFO LOAD_INFO_GPA

static void multiboot_stands_at_its_entry(void **state)
{
    (void)state;
    assert_null(load(true));
    assert_int_equal(result.kind, TITHE_GUEST_MULTIBOOT);
    assert_int_equal(result.entry, 0x100010);
    assert_int_equal(result.eax, 0x2BADB002);
    assert_int_equal(result.ebx, INFO);
    assert_memory_equal(guest_ram + 0x100000, kernel_bytes + 4096, 2048);
    assert_memory_equal(guest_ram + 0x200000, kernel_bytes + 6144, 2048);
    assert_int_equal(ram32(0x200800), 0);
    assert_int_equal(ram32(INFO), 0x24D);
    assert_int_equal(ram32(INFO + 4), 640);
    assert_int_equal(ram32(INFO + 8), 23 * 1024);
    assert_string_equal((char *)guest_ram + ram32(INFO + 16), "vmlinuz console=ttyS0");
    assert_string_equal((char *)guest_ram + ram32(INFO + 64), "tithe");
}

static void the_module_follows_the_kernel(void **state)
{
    (void)state;
    assert_null(load(true));
    assert_int_equal(ram32(INFO + 20), 1);
    const gpa_t mod = ram32(INFO + 24);
    assert_int_equal(ram32(mod), 0x203000); /* behind the bss, page-aligned */
    assert_int_equal(ram32(mod + 4), 0x203000 + sizeof module_bytes);
    assert_string_equal((char *)guest_ram + ram32(mod + 8), "initrd");
    assert_memory_equal(guest_ram + 0x203000, module_bytes, sizeof module_bytes);
    assert_null(load(false));
    assert_int_equal(ram32(INFO) & 8, 0);
    guest_reset(0x203000 + 8192);
    assert_refused(load(true), "does not fit above the kernel");
}

static void multiboot_learns_its_memory(void **state)
{
    (void)state;
    guest_reset(5 * GIB);
    assert_null(load(false));
    const gpa_t map = ram32(INFO + 48);
    assert_int_equal(ram32(INFO + 44), 4 * 24);
    for (unsigned i = 0; i < 4; i++) assert_int_equal(ram32(map + 24 * i), 20);
    assert_int_equal(ram64(map + 72 + 4), 4 * GIB);
    assert_int_equal(ram64(map + 72 + 12), 2 * GIB);
    assert_int_equal(ram32(map + 72 + 20), 1);
    guest_reset(24 * MIB);
    assert_null(load(false));
    assert_int_equal(ram32(INFO + 44), 3 * 24);
}

static void a_flat_kernel_by_its_addresses(void **state)
{
    (void)state;
    make_flat(kernel_bytes);
    assert_null(load(true));
    assert_int_equal(result.entry, 0x100200);
    assert_memory_equal(guest_ram + 0x100000, kernel_bytes + 0x200, 0x1000);
    assert_int_equal(ram32(0x101000), 0);
    assert_int_equal(ram32(ram32(INFO + 24)), 0x105000);
    put32(kernel_bytes + 0x300 + 20, 0); /* load_end 0: to the end of the file */
    assert_null(load(true));
    assert_memory_equal(guest_ram + 0x100000, kernel_bytes + 0x200, ELF_BYTES - 0x200);
}

static void a_virtual_entry_is_translated(void **state)
{
    (void)state;
    put32(kernel_bytes + 24, 0xC0100010);
    put32(kernel_bytes + 52 + 8, 0xC0100000);
    assert_null(load(false));
    assert_int_equal(result.entry, 0x100010);
}

static void broken_multiboot(void **state)
{
    static const struct {
        uint32_t offset, value;
        const char *words;
    } elf[] = {
        {4096, 0, "no guest kernel"},
        {4104, 0, "no guest kernel"},
        {4, 0x00010102, "no ELF32"},
        {16, 0x00030003, "no ELF32"},
        {16, 0x003E0002, "no ELF32"},
        {42, 0x00030028, "odd"},
        {42, 0x00000020, "odd"},
        {42, 0xFFFF0020, "odd"},
        {28, 0xFFFFFFF0, "cut short"},
        {28, ELF_BYTES - 8, "cut short"},
        {52 + 4, 0xFFFFFFFF, "cut short"},
        {52 + 4, ELF_BYTES - 100, "cut short"},
        {52 + 12, 0x1000, "below 1 MiB"},
        {52 + 12, 0xFFFFFFF0, "past the guest's memory"},
        {52 + 16, 4096, "longer in the file"},
        {52 + 20, 0xFFFFFFFF, "past the guest's memory"},
        {24, 0x1000, "entry is outside"},
        {24, 0xFFFFFFFF, "entry is outside"},
    };
    for (size_t i = 0; i < ARRAY_LEN(elf); i++) {
        setup_multiboot(state);
        put32(kernel_bytes + elf[i].offset, elf[i].value);
        assert_refused(load(true), elf[i].words);
    }
    setup_multiboot(state);
    put32(kernel_bytes + 4100, 0x8);
    put32(kernel_bytes + 4104, (uint32_t) - (0x1BADB002 + 8));
    assert_refused(load(true), "feature that does not exist");
    setup_multiboot(state);
    put16(kernel_bytes + 44, 2);
    put32(kernel_bytes + 52, 4);
    assert_refused(load(true), "nothing to load");

    static const struct {
        uint32_t offset, value;
        const char *words;
    } flat[] = {
        {12, 0x0FFFFF, "contradict"},
        {12, 0x200000, "contradict"},
        {20, 0x0FFFFF, "contradict"},
        {20, 0x200000, "cut short"},
        {24, 0xFFFFFFFF, "past the guest's memory"},
        {28, 0, "entry is outside"},
        {28, 0x105000, "entry is outside"},
    };
    for (size_t i = 0; i < ARRAY_LEN(flat); i++) {
        setup_multiboot(state);
        make_flat(kernel_bytes);
        put32(kernel_bytes + 0x300 + flat[i].offset, flat[i].value);
        assert_refused(load(true), flat[i].words);
    }
}

static void every_multiboot_truncation(void **state)
{
    (void)state;
    for (unsigned flat = 0; flat < 2; flat++) {
        if (flat != 0) make_flat(kernel_bytes);
        for (size_t bytes = 0; bytes < ELF_BYTES; bytes += bytes < 200 || bytes > 4000 ? 1 : 31) {
            load_vm.config.size_pages = 16 * MIB / PAGE_BYTES;
            uint8_t *copy = test_malloc(bytes + 1);
            memcpy(copy, kernel_bytes, bytes);
            image_init(&kernel, copy, bytes, 1000);
            const char *why = load(false);
            if (why == NULL && flat == 0) fail_msg("loaded with %zu bytes", bytes);
            test_free(copy);
        }
        image_init(&kernel, kernel_bytes, ELF_BYTES, 4096);
    }
}

static void a_header_past_8_kib_is_none(void **state)
{
    (void)state;
    static uint8_t large[16384];
    put32(large + 8192 - 8, 0x1BADB002);
    put32(large + 8192 - 4, 0);
    put32(large + 8192, (uint32_t)-0x1BADB002);
    image_init(&kernel, large, sizeof large, 4096);
    assert_int_equal(load_kind(&kernel.source), 0);
    memmove(large + 8192 - 12, large + 8192 - 8, 12);
    assert_int_equal(load_kind(&kernel.source), TITHE_GUEST_MULTIBOOT);
    large[8192 - 12] = 0;
    memmove(large + 4097, large + 8192 - 12, 12);
    large[4097] = 0x02; /* not on a 4-byte boundary */
    assert_int_equal(load_kind(&kernel.source), 0);
}

#define LINUX(f)     cmocka_unit_test_setup(f, setup_linux)
#define MULTIBOOT(f) cmocka_unit_test_setup(f, setup_multiboot)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINUX(linux_stands_at_its_entry),
        LINUX(linux_learns_its_memory),
        LINUX(the_initrd_stays_off_the_kernel),
        LINUX(linux_needs_room_to_unpack),
        LINUX(older_kernels_go_to_1_mib),
        LINUX(broken_headers),
        LINUX(the_kind_can_be_demanded),
        LINUX(long_command_lines),
        LINUX(every_truncation_is_refused_or_whole),
        LINUX(no_frame_is_said),
        MULTIBOOT(multiboot_stands_at_its_entry),
        MULTIBOOT(the_module_follows_the_kernel),
        MULTIBOOT(multiboot_learns_its_memory),
        MULTIBOOT(a_flat_kernel_by_its_addresses),
        MULTIBOOT(a_virtual_entry_is_translated),
        MULTIBOOT(broken_multiboot),
        MULTIBOOT(every_multiboot_truncation),
        MULTIBOOT(a_header_past_8_kib_is_none),
    };
    return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
