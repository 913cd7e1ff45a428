/* SPDX-License-Identifier: MIT
 *
 * The walker on the host's own tables: direct map, steward, guard pages.
 */
#include "mem_tables.h"

#define HALF 0xffff800000000000ull

static void assert_leads(const struct pt *pt, uint64_t addr, hpa_t to, unsigned rights)
{
    hpa_t hpa = 0;
    unsigned found = 0;

    assert_true(pt_lookup(pt, addr, &hpa, &found));
    assert_int_equal(hpa, to);
    assert_int_equal(found, rights);
}

static void direct_map_uses_big_leaves(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    /* 5 GiB + 6 MiB + 12 KiB with 1 GiB leaves: root, one table of level 3, one of 2, one of 1. */
    const uint64_t bytes = 5 * GIB + 6 * MIB + 12 * KIB;
    const unsigned rights = PT_READ | PT_WRITE | PT_GLOBAL;
    tables_make(&t, &pt_format_host, 20);
    assert_true(pt_map(&t.pt, HALF, 0, bytes, rights, 3));
    assert_int_equal(t.next - 1, 4);
    assert_leads(&t.pt, HALF + 0x12345678, 0x12345678, rights);
    assert_leads(&t.pt, HALF + bytes - 1, bytes - 1, rights);
    assert_false(pt_lookup(&t.pt, HALF + bytes, NULL, NULL));
    assert_false(pt_lookup(&t.pt, 0x12345678, NULL, NULL));
    cpu_entry(&t.pt, (HALF >> PAGE_SHIFT) + 5, &span);
    assert_int_equal(span, 1 << 18);
    /* Without them, 512 times as many. */
    tables_make(&t, &pt_format_host, 20);
    assert_true(pt_map(&t.pt, HALF, 0, bytes, rights, 2));
    assert_int_equal(t.next - 1, 9);
    assert_leads(&t.pt, HALF + 0x12345678, 0x12345678, rights);
    /* At the very top of the address space. */
    assert_true(pt_map(&t.pt, UINT64_MAX - 2 * MIB + 1, 0, 2 * MIB, rights, 2));
    assert_leads(&t.pt, UINT64_MAX, 2 * MIB - 1, rights);
}

static void misaligned_targets_get_small_leaves(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    tables_make(&t, &pt_format_host, 20);
    assert_true(pt_map(&t.pt, 0, 0x1000, 4 * MIB, PT_READ, 3));
    cpu_entry(&t.pt, 5, &span);
    assert_int_equal(span, 1);
    assert_leads(&t.pt, 4 * MIB - 1, 4 * MIB + 0xfff, PT_READ);
}

static void text_and_guards_are_cut_out_of_big_leaves(void **state)
{
    struct test_tables t;

    (void)state;
    tables_make(&t, &pt_format_host, 20);
    assert_true(pt_map(&t.pt, HALF, 0, 1 * GIB, PT_READ | PT_WRITE, 3));
    assert_true(pt_protect(&t.pt, HALF + 0x100000, 0x20000, PT_READ | PT_EXEC));
    assert_true(pt_unmap(&t.pt, HALF + 0x130000, 0x1000));
    for (uint64_t at = 0; at < 4 * MIB; at += PAGE_BYTES) {
        if (at == 0x130000)
            assert_false(pt_lookup(&t.pt, HALF + at, NULL, NULL));
        else
            assert_leads(&t.pt, HALF + at + 7, at + 7,
                         at >= 0x100000 && at < 0x120000 ? PT_READ | PT_EXEC : PT_READ | PT_WRITE);
    }
    assert_int_equal(t.next - 1, 4);
    /* New rights do not bring a guard page back, and nothing is split for what is so already. */
    assert_true(pt_protect(&t.pt, HALF + 0x100000, 0x40000, PT_READ));
    assert_false(pt_lookup(&t.pt, HALF + 0x130000, NULL, NULL));
    assert_true(pt_protect(&t.pt, HALF + 900 * MIB, 0x1000, PT_READ | PT_WRITE));
    assert_true(pt_unmap(&t.pt, 3 * GIB, 0x1000));
    assert_true(pt_protect(&t.pt, 3 * GIB, 0x1000, PT_READ));
    assert_int_equal(t.next - 1, 4);
    /* The accessed and dirty bits that were there stay. */
    assert_true((*pt_ensure(&t.pt, (HALF + 0x100000) >> PAGE_SHIFT, 1) & 0x60) == 0x60);
}

static void remapping_replaces(void **state)
{
    struct test_tables t;

    (void)state;
    tables_make(&t, &pt_format_host, 20);
    assert_true(pt_map(&t.pt, 0x400000, 0x9000, 0x3000, PT_READ | PT_USER, 1));
    assert_true(pt_map(&t.pt, 0x401000, 0x50000, 0x1000, PT_READ | PT_WRITE | PT_USER | PT_UNCACHED, 3));
    assert_leads(&t.pt, 0x400000, 0x9000, PT_READ | PT_USER);
    assert_leads(&t.pt, 0x401000, 0x50000, PT_READ | PT_WRITE | PT_USER | PT_UNCACHED);
    assert_leads(&t.pt, 0x402000, 0xb000, PT_READ | PT_USER);
    /* A big leaf over tables that are there goes into them. */
    assert_true(pt_map(&t.pt, 0x400000, 0x800000, 2 * MIB, PT_READ, 2));
    assert_leads(&t.pt, 0x5ff123, 0x9ff123, PT_READ);
}

static void the_kernel_half_is_shared(void **state)
{
    struct test_tables t, user;

    (void)state;
    tables_make(&t, &pt_format_host, 20);
    assert_true(pt_map(&t.pt, HALF, 0, 4 * GIB, PT_READ | PT_WRITE, 3));
    assert_true(pt_map(&t.pt, 0x1000, 0, 0x1000, PT_READ, 1));
    user = t;
    user.pt.ctx = &user;
    user.next = t.limit = 10;
    assert_true(pt_create(&user.pt));
    pt_share(&user.pt, &t.pt, HALF, 1ull << 47);
    assert_leads(&user.pt, HALF + 0x1234, 0x1234, PT_READ | PT_WRITE);
    assert_false(pt_lookup(&user.pt, 0x1000, NULL, NULL));
    assert_true(pt_map(&user.pt, 0x400000, 0x7000, 0x1000, PT_READ | PT_EXEC | PT_USER, 1));
    assert_false(pt_lookup(&t.pt, 0x400000, NULL, NULL));
    /* What is mapped above later is seen in both; destroying one leaves the other's half. */
    assert_true(pt_map(&t.pt, HALF + 8 * GIB, 0, 4096, PT_READ, 1));
    assert_leads(&user.pt, HALF + 8 * GIB, 0, PT_READ);
    pt_destroy(&user.pt, 0, 1ull << 47);
    assert_int_equal(user.freed, 4);
    assert_int_equal(user.pt.root, 0);
    assert_leads(&t.pt, HALF + 0x1234, 0x1234, PT_READ | PT_WRITE);
}

const struct CMUnitTest host_map_tests[] = {
    cmocka_unit_test(direct_map_uses_big_leaves),
    cmocka_unit_test(misaligned_targets_get_small_leaves),
    cmocka_unit_test(text_and_guards_are_cut_out_of_big_leaves),
    cmocka_unit_test(remapping_replaces),
    cmocka_unit_test(the_kernel_half_is_shared),
};
const size_t host_map_test_count = ARRAY_LEN(host_map_tests);
