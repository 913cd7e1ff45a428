/* SPDX-License-Identifier: MIT
 *
 * The core's string functions, compiled as core_memcpy and so on, against simple loops.
 */
#include "lib/string.h"
#include "tithe/types.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#define SIZE 200u

static uint8_t a[SIZE], b[SIZE], expected[SIZE];

static void fill(uint8_t *p, unsigned seed)
{
    for (unsigned i = 0; i < SIZE; i++) p[i] = (uint8_t)(i * 7 + seed);
}

static void check(const uint8_t *p)
{
    for (unsigned i = 0; i < SIZE; i++) assert_int_equal(p[i], expected[i]);
}

static void copies_and_fills(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 70; n++) {
        fill(a, 1), fill(b, 99), fill(expected, 99);
        for (unsigned i = 0; i < n; i++) expected[5 + i] = a[3 + i];
        assert_ptr_equal(memcpy(b + 5, a + 3, n), b + 5);
        check(b);
        for (unsigned i = 0; i < n; i++) expected[9 + i] = 0xee;
        assert_ptr_equal(memset(b + 9, 0xee, n), b + 9);
        check(b);
    }
}

static void moves_overlap(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 60; n++) {
        for (unsigned to = 0; to < 100; to += 7) {
            fill(a, 3), fill(expected, 3);
            for (unsigned i = 0; i < n; i++) expected[to + i] = (uint8_t)((40 + i) * 7 + 3);
            assert_ptr_equal(memmove(a + to, a + 40, n), a + to);
            check(a);
        }
    }
}

static void compares(void **state)
{
    (void)state;
    for (unsigned n = 1; n < 40; n++) {
        for (unsigned at = 0; at < n; at++) {
            fill(a, 5), fill(b, 5);
            assert_int_equal(memcmp(a, b, n), 0);
            a[at] = 0x80;
            b[at] = 0x7f;
            assert_true(memcmp(a, b, n) > 0 && memcmp(b, a, n) < 0);
            assert_int_equal(memcmp(a, b, at), 0);
        }
    }
    assert_int_equal(strcmp("abc", "abc"), 0);
    assert_true(strcmp("abc", "abd") < 0 && strcmp("abc", "ab") > 0 && strcmp("\xff", "a") > 0);
    assert_int_equal(strncmp("abcX", "abcY", 3), 0);
    assert_true(strncmp("abcX", "abcY", 4) < 0);
}

static void texts(void **state)
{
    static const char text[] = "text";
    char out[4];

    (void)state;
    assert_int_equal(strlen(text), 4);
    assert_int_equal(strnlen(text, 2), 2);
    assert_ptr_equal(strchr(text, 'x'), text + 2);
    assert_ptr_equal(strchr(text, '\0'), text + 4);
    assert_null(strchr(text, 'q'));
    assert_int_equal(text_copy(out, sizeof out, text), 4);
    assert_int_equal(strcmp(out, "tex"), 0);
    assert_int_equal(text_copy(out, 0, "q"), 1);
    assert_int_equal(strcmp(out, "tex"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_and_fills),
        cmocka_unit_test(moves_overlap),
        cmocka_unit_test(compares),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests_name("lib_string", tests, NULL, NULL);
}
