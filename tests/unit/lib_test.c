/* SPDX-License-Identifier: MIT
 *
 * hv/lib: formatting against the C library's, and the cpio reader against archives that are whole, cut and
 * damaged.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/cpio.h"
#include "lib/log.h"

#define SAME(...)                                                                                            \
    do {                                                                                                     \
        char ours[128], theirs[128];                                                                         \
        int n = fmt_string(ours, sizeof ours, __VA_ARGS__);                                                  \
        assert_int_equal(n, snprintf(theirs, sizeof theirs, __VA_ARGS__));                                   \
        assert_string_equal(ours, theirs);                                                                   \
    } while (0)

static void fmt_as_printf(void **state)
{
    int here;

    (void)state;
    SAME("plain");
    SAME("%d %i %u", -1, INT32_MIN, UINT32_MAX);
    SAME("%ld %lu %lx %lX", INT64_MIN, UINT64_MAX, 0xdeadbeefcafeul, 0xdeadbeefcafeul);
    SAME("%lld %llu %zu", INT64_MIN + 0ll, UINT64_MAX + 0ull, (size_t)12345);
    SAME("[%5d] [%-5d] [%05d] [%5d] [%05d]", 42, 42, 42, -42, -42);
    SAME("[%8lx] [%016lx] [%-8x]", 0xabcul, 0xabcul, 0xabcu);
    SAME("%c%c %s [%8s] [%-8s] [%.3s] [%8.3s]", 'a', 'b', "text", "right", "left", "cutting", "cutting");
    SAME("[%.*s] [%*d]", 2, "xyz", 6, 7);
    SAME("%p %%", (void *)&here);
    SAME("%d%s", 0, "");
}

static void fmt_fits(void **state)
{
    char out[8];
    const char *volatile none = NULL;

    (void)state;
    memset(out, 'x', sizeof out);
    assert_int_equal(fmt_string(out, 4, "%s", "longer"), 6);
    assert_string_equal(out, "lon");
    assert_int_equal(out[4], 'x');
    assert_int_equal(fmt_string(out, 0, "%d", 12), 2);
    assert_int_equal(fmt_string(out, 1, "%d", 12), 2);
    assert_string_equal(out, "");
    assert_int_equal(fmt_string(out, sizeof out, "%s", none), 6);
    assert_string_equal(out, "(null)");
}

/* Adds one file to an archive; returns the new length. */
static size_t add(char *archive, size_t at, const char *name, uint32_t mode, const void *data, size_t bytes)
{
    at += (size_t)sprintf(archive + at, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", 1,
                          mode, 0, 0, 1, 0, bytes, 0, 0, 0, 0, strlen(name) + 1, 0);
    at += (size_t)sprintf(archive + at, "%s", name) + 1;
    while (at % 4 != 0) archive[at++] = '\0';
    memcpy(archive + at, data, bytes);
    at += bytes;
    while (at % 4 != 0) archive[at++] = '\0';
    return at;
}

static size_t make_archive(char *archive)
{
    size_t n = add(archive, 0, ".", 0040755, "", 0);

    n = add(archive, n, "./steward", 0100755, "ELF!", 4);
    n = add(archive, n, "policy", 0040755, "", 0);
    n = add(archive, n, "policy/equal.lua", 0100644, "return 1\n", 9);
    n = add(archive, n, "empty", 0100644, "", 0);
    return add(archive, n, "TRAILER!!!", 0, "", 0);
}

static void cpio_reads(void **state)
{
    char archive[2048];
    size_t n = make_archive(archive), position = 0, files = 0;
    struct cpio_file f;

    (void)state;
    while (cpio_next(archive, n, &position, &f)) files++;
    assert_int_equal(files, 5);
    assert_true(cpio_find(archive, n, "steward", &f));
    assert_int_equal(f.bytes, 4);
    assert_memory_equal(f.data, "ELF!", 4);
    assert_true(cpio_find(archive, n, "policy/equal.lua", &f));
    assert_int_equal(f.bytes, 9);
    assert_true(cpio_find(archive, n, "empty", &f));
    assert_false(cpio_find(archive, n, "policy", &f)); /* a directory */
    assert_false(cpio_find(archive, n, "nothing", &f));
    assert_false(cpio_find(archive, 0, "steward", &f));
}

/* Whatever the bytes: nothing outside the buffer is touched (the sanitizer looks) and every result lies
 * inside. */
static void read_all(const char *archive, size_t bytes)
{
    struct cpio_file f;
    size_t position = 0, files = 0;

    while (cpio_next(archive, bytes, &position, &f)) {
        assert_true((const char *)f.data >= archive && (const char *)f.data + f.bytes <= archive + bytes);
        assert_true(f.name > archive && f.name + strlen(f.name) < archive + bytes);
        assert_true(++files <= bytes / 110);
    }
}

static void cpio_survives_damage(void **state)
{
    char whole[2048];
    size_t n = make_archive(whole);

    (void)state;
    for (size_t cut = 0; cut <= n; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, whole, cut);
        copy = realloc(copy, cut > 0 ? cut : 1);
        read_all(copy, cut);
        free(copy);
    }
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        char *copy = malloc(n);
        memcpy(copy, whole, n);
        for (int changes = rand() % 8; changes >= 0; changes--)
            copy[(size_t)rand() % n] = "0123456789abcdefF7\xff"[rand() % 20];
        read_all(copy, n);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fmt_as_printf),
        cmocka_unit_test(fmt_fits),
        cmocka_unit_test(cpio_reads),
        cmocka_unit_test(cpio_survives_damage),
    };
    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
