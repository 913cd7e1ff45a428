/* SPDX-License-Identifier: MIT
 *
 * The wire library: frames and CBOR. Run with sanitizers (steward.mk).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above */
#include <cmocka.h>
#include "cborx.h"
#include "frame.h"

static struct frame_decoder decoder;
static uint8_t frame[FRAME_MAX_BYTES], last_payload[FRAME_PAYLOAD_MAX_BYTES];
static size_t last_payload_bytes;
static char text[4096];
static size_t text_bytes;

struct counts {
    unsigned good, bad;
};

/* Feeds bytes to the one decoder; keeps the last payload and all text. */
static struct counts feed(const uint8_t *bytes, size_t length)
{
    struct counts n = {0, 0};
    for (size_t i = 0; i < length; i++) {
        switch (frame_decode(&decoder, bytes[i])) {
        case FRAME_PAYLOAD:
            n.good++;
            memcpy(last_payload, decoder.payload, decoder.payload_bytes);
            last_payload_bytes = decoder.payload_bytes;
            break;
        case FRAME_BAD: n.bad++; break;
        case FRAME_TEXT:
            assert_true(text_bytes + decoder.text_bytes < sizeof text);
            memcpy(text + text_bytes, decoder.text, decoder.text_bytes);
            text_bytes += decoder.text_bytes;
            break;
        case FRAME_NONE: break;
        }
    }
    text[text_bytes] = 0;
    return n;
}

static int reset(void **state)
{
    (void)state;
    memset(&decoder, 0, sizeof decoder);
    text_bytes = last_payload_bytes = 0;
    return 0;
}

/* A payload that looks like one: a CBOR map's head first. */
static size_t sample(uint8_t *out, size_t length, unsigned kind)
{
    for (size_t i = 0; i < length; i++) {
        out[i] = kind == 0 ? 0 : kind == 1 ? (uint8_t)(i % 255 + 1) : (uint8_t)(i * 7 + (i >> 8));
    }
    out[0] = 0xa3;
    return length;
}

static void test_round_trip(void **state)
{
    static uint8_t payload[FRAME_PAYLOAD_MAX_BYTES];
    static const size_t lengths[] = {1,   2,   253, 254, 255,  256,
                                     507, 508, 509, 510, 4096, FRAME_PAYLOAD_MAX_BYTES};
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t n = sample(payload, lengths[i], kind), length = frame_encode(payload, n, frame);
            assert_true(length > n && length <= FRAME_MAX_BYTES);
            assert_true(frame[0] == 0 && frame[length - 1] == 0);
            assert_null(memchr(frame + 1, 0, length - 2));
            assert_int_equal(feed(frame, length).good, 1);
            assert_int_equal(last_payload_bytes, n);
            assert_memory_equal(last_payload, payload, n);
        }
    }
    assert_int_equal(frame_encode(payload, 0, frame), 0);
    assert_int_equal(frame_encode(payload, FRAME_PAYLOAD_MAX_BYTES + 1, frame), 0);
}

/* The first run of a frame may be of any length; its count is the first byte, and may look like text. */
static void test_first_zero_anywhere(void **state)
{
    uint8_t payload[600];
    (void)state;
    for (size_t zero = 1; zero < sizeof payload; zero++) {
        size_t n = sample(payload, sizeof payload, 1);
        payload[zero] = 0;
        assert_int_equal(feed(frame, frame_encode(payload, n, frame)).good, 1);
        assert_memory_equal(last_payload, payload, n);
    }
}

/* No change of one byte, nor a byte lost or added, yields a payload other than the true one. */
static void test_damage(void **state)
{
    uint8_t payload[300], damaged[400];
    static uint8_t good[FRAME_MAX_BYTES];
    (void)state;
    size_t n = sample(payload, sizeof payload, 2), length = frame_encode(payload, n, good);
    for (size_t at = 0; at < length; at++) {
        for (unsigned flip = 1; flip < 256; flip++) {
            memcpy(damaged, good, length);
            damaged[at] ^= (uint8_t)flip;
            reset(NULL);
            bool edge = at == 0 || at == length - 1; /* a lost zero byte at the edge may be made good */
            unsigned got = feed(damaged, length).good;
            if (!edge) assert_int_equal(got, 0);
            if (got) assert_memory_equal(last_payload, payload, n);
            /* and the next frame is understood, if need be at its repetition */
            got = feed(good, length).good;
            assert_true(got + feed(good, length).good >= 1);
            assert_memory_equal(last_payload, payload, n);
        }
        reset(NULL);
        memcpy(damaged, good, at);
        memcpy(damaged + at, good + at + 1, length - at - 1);
        if (feed(damaged, length - 1).good) assert_memory_equal(last_payload, payload, n);
        reset(NULL);
        memcpy(damaged, good, at);
        damaged[at] = 0x55;
        memcpy(damaged + at + 1, good + at, length - at);
        if (feed(damaged, length + 1).good) assert_memory_equal(last_payload, payload, n);
    }
}

static void test_cut_and_resume(void **state)
{
    uint8_t payload[600];
    (void)state;
    size_t n = sample(payload, sizeof payload, 1), length = frame_encode(payload, n, frame);
    for (size_t cut = 0; cut < length; cut += 13) {
        reset(NULL);
        feed(frame, cut);
        unsigned good = feed(frame, length).good;
        good += feed(frame, length).good;
        assert_true(good >= 1);
        assert_memory_equal(last_payload, payload, n);
    }
}

static void test_duplicates_and_text(void **state)
{
    uint8_t payload[40];
    (void)state;
    size_t length = frame_encode(payload, sample(payload, sizeof payload, 2), frame);
    assert_int_equal(feed((const uint8_t *)"boot: up\n", 9).bad, 0);
    assert_int_equal(feed(frame, length).good, 1);
    assert_int_equal(feed(frame, length).good, 1);
    feed((const uint8_t *)"log line\n", 9);
    assert_int_equal(feed(frame, length).good, 1);
    assert_string_equal(text, "boot: up\nlog line\n");
    /* a line in the place of a frame, after a stray zero byte */
    reset(NULL);
    struct counts c = feed((const uint8_t *)"\0stray\n", 7);
    assert_int_equal(c.bad, 0);
    assert_int_equal(feed(frame, length).good, 1);
    assert_string_equal(text, "stray\n");
}

static void test_noise_and_oversize(void **state)
{
    uint8_t payload[40];
    unsigned seed = 1;
    (void)state;
    size_t length = frame_encode(payload, sample(payload, sizeof payload, 2), frame);
    for (unsigned round = 0; round < 200; round++) {
        for (unsigned i = 0; i < 500; i++) {
            seed = seed * 1103515245u + 12345u;
            uint8_t byte = (uint8_t)(seed >> 16);
            text_bytes = 0;
            assert_int_equal(feed(&byte, 1).good, 0);
        }
        unsigned good = feed(frame, length).good;
        assert_true(good + feed(frame, length).good >= 1);
    }
    reset(NULL);
    uint8_t zero = 0, high = 0xff;
    feed(&zero, 1);
    for (size_t i = 0; i < 3 * FRAME_MAX_BYTES; i++) assert_int_equal(feed(&high, 1).good, 0);
    assert_int_equal(feed(&zero, 1).bad, 1);
    unsigned good = feed(frame, length).good;
    assert_true(good + feed(frame, length).good >= 1);
}

/* ---- CBOR --------------------------------------------------------------- */

static void test_write(void **state)
{
    uint8_t out[200];
    struct cborx_writer w;
    (void)state;
    cborx_begin(&w, out, sizeof out);
    cborx_put_map(&w, NULL);
    cborx_put_uint(&w, "zz", 500);
    cborx_put_int(&w, "a", -1);
    cborx_put_array(&w, "b");
    cborx_put_double(&w, NULL, 0.75);
    cborx_put_double(&w, NULL, 100000.0);
    cborx_put_double(&w, NULL, 1.1);
    cborx_put_bool(&w, NULL, true);
    cborx_end(&w);
    cborx_end(&w);
    /* RFC 8949 appendix A gives the parts; keys by length, then bytewise */
    static const uint8_t want[] = {0xa3, 0x61, 'a',  0x20, 0x61, 'b',  0x84, 0xf9, 0x3a, 0x00, 0xfa,
                                   0x47, 0xc3, 0x50, 0x00, 0xfb, 0x3f, 0xf1, 0x99, 0x99, 0x99, 0x99,
                                   0x99, 0x9a, 0xf5, 0x62, 'z',  'z',  0x19, 0x01, 0xf4};
    assert_int_equal(cborx_finish(&w), sizeof want);
    assert_memory_equal(out, want, sizeof want);
    assert_null(cborx_check(out, sizeof want));
}

static void test_write_errors(void **state)
{
    uint8_t out[64];
    struct cborx_writer w;
    (void)state;
    cborx_begin(&w, out, sizeof out);
    cborx_put_map(&w, NULL);
    cborx_put_uint(&w, "b", 1);
    cborx_put_uint(&w, "a", 1);
    cborx_put_uint(&w, "a", 2);
    cborx_end(&w);
    assert_int_equal(cborx_finish(&w), 0);
    for (size_t size = 0; size < 12; size++) { /* 12 bytes are needed */
        cborx_begin(&w, out, size);
        cborx_put_map(&w, NULL);
        cborx_put_text(&w, "b", "four");
        cborx_put_uint(&w, "a", 1);
        cborx_end(&w);
        assert_int_equal(cborx_finish(&w), size < 11 ? 0 : 11);
    }
    cborx_begin(&w, out, sizeof out);
    cborx_put_map(&w, NULL);
    cborx_put_uint(&w, "a", 1);
    struct cborx_mark mark = cborx_mark(&w);
    cborx_put_bytes(&w, "x", out, sizeof out);
    assert_true(w.failed);
    cborx_rewind(&w, mark);
    cborx_end(&w);
    assert_int_equal(cborx_finish(&w), 4);
}

static void refuse(const char *hex)
{
    uint8_t bytes[64];
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    const char *why = cborx_check(bytes, n);
    if (why == NULL) print_error("accepted: %s\n", hex);
    assert_non_null(why);
}

static void test_strictness(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",                               /* nothing */
        "a1",                             /* cut */
        "a16161",                         /* cut after a key */
        "a0a0",                           /* two items */
        "bf616101ff",                     /* indefinite map */
        "9f01ff",                         /* indefinite array */
        "7f6161ff",                       /* indefinite text */
        "a1616118ff00",                   /* trailing byte */
        "a161611801",                     /* a number not in its shortest form */
        "a178016101",                     /* a length likewise */
        "a2616201616101",                 /* keys out of order */
        "a2616101616102",                 /* a key twice */
        "a10101",                         /* a key that is not text */
        "c000",                           /* a tag */
        "f7",                             /* undefined */
        "9bffffffffffffffff",             /* claims 2^64 - 1 items */
        "bb7fffffffffffffff",             /* likewise a map */
        "5bffffffffffffffff",             /* likewise bytes */
        "9a0fffffff00",                   /* claims gigabytes */
        "818181818181818181818181818100", /* 13 deep */
        "1c",
        "ff",
        "fc",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refuse(bad[i]);
}

static void test_read(void **state)
{
    static const uint8_t bytes[] = {0xa3, 0x61, 'a', 0x18, 0x40, 0x61, 'b', 0x63,
                                    'x',  'y',  'z', 0x61, 'c',  0x42, 1,   2};
    const char *why;
    uint64_t number = 0;
    int64_t integer;
    char string[4];
    size_t length;
    (void)state;
    cbor_item_t *item = cborx_load(bytes, sizeof bytes, &why);
    assert_non_null(item);
    assert_true(cborx_uint(cborx_get(item, "a"), &number));
    assert_int_equal(number, 64);
    assert_true(cborx_int(cborx_get(item, "a"), &integer));
    assert_true(cborx_text(cborx_get(item, "b"), string, sizeof string));
    assert_string_equal(string, "xyz");
    assert_false(cborx_text(cborx_get(item, "b"), string, 3));
    assert_non_null(cborx_bytes(cborx_get(item, "c"), &length));
    assert_int_equal(length, 2);
    assert_null(cborx_get(item, "d"));
    assert_false(cborx_uint(cborx_get(item, "d"), &number));
    assert_false(cborx_uint(cborx_get(item, "b"), &number));
    cbor_decref(&item);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_round_trip, reset),
        cmocka_unit_test_setup(test_first_zero_anywhere, reset),
        cmocka_unit_test_setup(test_damage, reset),
        cmocka_unit_test_setup(test_cut_and_resume, reset),
        cmocka_unit_test_setup(test_duplicates_and_text, reset),
        cmocka_unit_test_setup(test_noise_and_oversize, reset),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_errors),
        cmocka_unit_test(test_strictness),
        cmocka_unit_test(test_read),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
