/* SPDX-License-Identifier: MIT
 *
 * The console's parts that need no machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cborx.h"
#include "cpuline.h"
#include "emulator.h"
#include "envelope.h"
#include "json.h"
#include "loglines.h"
#include "options.h"
#include "platform.h"
#include "prompt.h"
#include "size.h"
#include "template.h"

static void sizes_are_read(void **state)
{
    static const struct {
        const char *text;
        uint64_t pages;
    } good[] = {{"96M", 24576}, {"1.5G", 393216}, {"4096K", 1024}, {"100p", 100},    {"4k", 1},
                {"0.5M", 128},  {"96MiB", 24576}, {"96MB", 24576}, {"1T", 1u << 28}, {"1024T", 1ull << 38},
                {"0.25M", 64},  {"2.000M", 512},  {".5M", 128}};
    struct error e;
    uint64_t pages;
    size_t i;
    (void)state;

    for (i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(size_parse(good[i].text, "size", &pages, &e), STATUS_OK);
        assert_int_equal(pages, good[i].pages);
    }
}

static void bad_sizes_are_refused_with_the_forms(void **state)
{
    static const char *const bad[] = {"",
                                      "96",
                                      "M",
                                      "-5M",
                                      "+5M",
                                      "5X",
                                      "5MM",
                                      "5 M",
                                      "0M",
                                      "0p",
                                      "1K",
                                      "1.5p",
                                      "0.1p",
                                      "1.2.3M",
                                      "99999999999999999999999M",
                                      "18446744073709551615T",
                                      "1025T",
                                      "nan",
                                      "inf",
                                      "1e3M",
                                      "0x10M",
                                      "0.0000001G",
                                      "5Mib2",
                                      "1.",
                                      "M5",
                                      "3B",
                                      "16777217T"};
    struct error e;
    uint64_t pages;
    size_t i;
    (void)state;

    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(size_parse(bad[i], "size", &pages, &e), STATUS_USAGE);
        assert_non_null(strstr(e.thing, bad[i]));
        assert_non_null(strstr(e.mend, "96M, 1.5G, 4096K"));
    }
}

static void sizes_are_written_as_people_do(void **state)
{
    static const struct {
        uint64_t pages;
        const char *text;
    } cases[] = {{0, "0K"},        {1, "4K"},         {255, "1020K"},    {256, "1M"},       {24576, "96M"},
                 {393216, "1.5G"}, {262143, "1024M"}, {27443, "107.2M"}, {1ull << 28, "1T"}};
    char text[24];
    size_t i;
    (void)state;

    for (i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(size_text(cases[i].pages, text, sizeof text), cases[i].text);
    size_text(UINT64_MAX, text, sizeof text); /* whatever it says, it must not overflow */
}

static void numbers_have_a_range(void **state)
{
    struct error e;
    uint64_t value;
    (void)state;

    assert_int_equal(number_parse("1000", "shares", 1, 1000000, &value, &e), STATUS_OK);
    assert_int_equal(value, 1000);
    assert_int_equal(number_parse("0", "shares", 1, 1000000, &value, &e), STATUS_USAGE);
    assert_int_equal(number_parse("1000001", "shares", 1, 1000000, &value, &e), STATUS_USAGE);
    assert_int_equal(number_parse("-1", "shares", 1, 1000000, &value, &e), STATUS_USAGE);
    assert_int_equal(number_parse("", "shares", 1, 1000000, &value, &e), STATUS_USAGE);
    assert_int_equal(number_parse("1k", "shares", 1, 1000000, &value, &e), STATUS_USAGE);
    assert_int_equal(number_parse("18446744073709551616", "shares", 0, UINT64_MAX, &value, &e), STATUS_USAGE);
}

static const struct option_spec specs[] = {{"size", "SIZE", ""}, {"paused", NULL, ""}, {NULL, NULL, NULL}};

static void options_and_arguments_mix(void **state)
{
    char *argv[] = {(char *)"a",        (char *)"--size", (char *)"5M",    (char *)"-7M",
                    (char *)"--paused", (char *)"--",     (char *)"--size"};
    struct options o;
    struct error e;
    (void)state;

    assert_int_equal(options_parse(&o, argv, 7, specs, NULL, false, &e), STATUS_OK);
    assert_int_equal(o.arg_count, 3);
    assert_string_equal(o.args[1], "-7M");
    assert_string_equal(o.args[2], "--size");
    assert_string_equal(option_value(&o, "size"), "5M");
    assert_true(option_given(&o, "paused"));
}

static void bad_options_are_named(void **state)
{
    static char *const lines[] = {(char *)"--sise", (char *)"--size", (char *)"--paused=1", (char *)"-x"};
    size_t i;
    (void)state;

    for (i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char *argv[] = {lines[i]};
        struct options o;
        struct error e;

        assert_int_equal(options_parse(&o, argv, 1, specs, NULL, false, &e), STATUS_USAGE);
        assert_string_equal(e.thing, lines[i]);
    }
}

static void prompt_lines_are_split(void **state)
{
    char line[] = "  create a\t--cmdline 'x \"y' \"p 'q\" r\\ s # rest";
    char *words[8];
    char open_quote[] = "say 'no", many[] = "a b c";
    (void)state;

    assert_int_equal(prompt_words(line, words, 8), 6);
    assert_string_equal(words[3], "x \"y");
    assert_string_equal(words[4], "p 'q");
    assert_string_equal(words[5], "r s");
    assert_int_equal(prompt_words(open_quote, words, 8), -1);
    assert_int_equal(prompt_words(many, words, 2), -1);
}

static void templates_are_filled(void **state)
{
    const struct template_value values[] = {{"A", "one"}, {"B_2", "@A@"}, {NULL, NULL}};
    struct error e;
    char *text = template_fill("x@A@y @B_2@ a@b @...@", values, "t", &e);
    (void)state;

    assert_string_equal(text, "xoney @A@ a@b @...@");
    free(text);
    assert_null(template_fill("@NONE@", values, "t", &e));
    assert_non_null(strstr(e.reason, "@NONE@"));
}

static void the_log_tells_how_it_ended(void **state)
{
    static const char log[] =
        "tithe: ready or not\r\n[ 1.0] tithe: ready\nxtithe: exit 3 times\ntithe: exit 7\n";
    struct log_watch w = {0};
    size_t i;
    (void)state;

    for (i = 0; i < sizeof log - 1; i++) {
        if (i < 30) assert_false(w.ready);
        log_watch(&w, log + i, 1);
    }
    assert_true(w.ready);
    assert_true(w.exited);
    assert_int_equal(w.exit_status, 7);
}

static void terminals_are_spared(void **state)
{
    char text[] = "\033[2J\033[01;01Ha\033(Bb\rc\a\033]\n";
    struct log_clean c = {0};
    size_t n = log_clean(&c, text, sizeof text - 1);
    (void)state;

    text[n] = '\0';
    assert_string_equal(text, "abc\n");
}

#define EXITED(code) ((code) << 8) /* as wait() gives it */

static void only_word_and_status_together_are_success(void **state)
{
    struct error e;
    (void)state;

    assert_int_equal(emulator_verdict(HW_AMD, EXITED(1), true, 0, &e), STATUS_OK);
    assert_int_equal(emulator_verdict(HW_VTX, EXITED(0), true, 0, &e), STATUS_OK);
    /* A triple fault, with and without the word. */
    assert_int_equal(emulator_verdict(HW_AMD, EXITED(0), false, 0, &e), STATUS_EMULATOR);
    assert_int_equal(emulator_verdict(HW_AMD, EXITED(0), true, 0, &e), STATUS_EMULATOR);
    assert_int_equal(emulator_verdict(HW_VTX, EXITED(0), false, 0, &e), STATUS_EMULATOR);
    assert_int_equal(emulator_verdict(HW_VTX, EXITED(1), true, 0, &e), STATUS_EMULATOR);
    /* A status that is not 0, though told alike by both. */
    assert_int_equal(emulator_verdict(HW_AMD, EXITED(7), true, 3, &e), STATUS_EMULATOR);
    assert_int_equal(emulator_verdict(HW_AMD, EXITED(3), true, 3, &e), STATUS_EMULATOR);
    assert_int_equal(emulator_verdict(HW_AMD, 9, true, 0, &e), STATUS_EMULATOR);
    assert_non_null(strstr(e.reason, "signal 9"));
}

static void impossible_combinations_say_what_is_possible(void **state)
{
    struct platform p = {HW_VTX, FIRMWARE_NONE};
    struct error e;
    char why[256];
    (void)state;

    assert_int_equal(platform_choose(&p, why, sizeof why, &e), STATUS_USAGE);
    assert_non_null(strstr(e.mend, "--firmware bios or --firmware uefi"));
    p = (struct platform){HW_AMD, FIRMWARE_DEFAULT};
    assert_int_equal(platform_choose(&p, why, sizeof why, &e), STATUS_OK);
    assert_int_equal(p.firmware, FIRMWARE_NONE);
    assert_string_equal(why, "");
}

static void envelopes_are_read(void **state)
{
    uint8_t out[128];
    struct cborx_writer w;
    struct envelope env;
    (void)state;

    cborx_begin(&w, out, sizeof out);
    cborx_put_map(&w, NULL);
    cborx_put_uint(&w, "v", 1);
    cborx_put_bytes(&w, "session", "12345678", 8);
    cborx_put_uint(&w, "id", 77);
    cborx_end(&w);
    assert_true(envelope_read(out, cborx_finish(&w), &env));
    assert_int_equal(env.id, 77);
    assert_memory_equal(env.session, "12345678", 8);
    assert_false(env.bad_notice);
    assert_false(envelope_read(out, cborx_finish(&w) - 1, &env));
    assert_false(envelope_read((const uint8_t *)"\xa0", 1, &env));
    cborx_begin(&w, out, sizeof out);
    cborx_put_map(&w, NULL);
    cborx_put_uint(&w, "v", 1);
    cborx_put_text(&w, "bad", "why");
    cborx_end(&w);
    assert_true(envelope_read(out, cborx_finish(&w), &env));
    assert_true(env.bad_notice);
}

static void json_is_json(void **state)
{
    uint8_t out[256];
    struct cborx_writer w;
    const char *why;
    char *text = NULL;
    size_t bytes = 0;
    cbor_item_t *item;
    struct json j = {0};
    (void)state;

    cborx_begin(&w, out, sizeof out);
    cborx_put_map(&w, NULL);
    cborx_put_array(&w, "a");
    cborx_put_uint(&w, NULL, UINT64_MAX);
    cborx_put_int(&w, NULL, -2);
    cborx_put_double(&w, NULL, 0.3);
    cborx_put_bool(&w, NULL, true);
    cborx_end(&w);
    cborx_put_bytes(&w, "b", "\x01\xff\"", 3);
    cborx_put_map(&w, "m");
    cborx_end(&w);
    cborx_end(&w);
    item = cborx_load(out, cborx_finish(&w), &why);
    assert_non_null(item);
    j.out = open_memstream(&text, &bytes);
    json_cbor(&j, NULL, item);
    fclose(j.out);
    assert_string_equal(text,
                        "{\"a\":[18446744073709551615,-2,0.3,true],\"b\":\"\\u0001\\u00ff\\\"\",\"m\":{}}");
    free(text);
    cbor_decref(&item);
}

static void cpu_line(const struct sample *now, const struct sample *before, int width, char *line, size_t n)
{
    FILE *out;

    memset(line, 0, n);
    out = fmemopen(line, n - 1, "w");
    cpuline_write(now, before, width, out);
    fclose(out);
    assert_int_equal(*line != '\0', cpuline_given(now, before));
}

static void cpus_have_a_line_as_detailed_as_it_fits(void **state)
{
    static struct sample now, before;
    char line[256];
    size_t i;
    (void)state;

    now = (struct sample){.now_ns = 3000, .cpus = 3, .cpu_count = 3};
    before = (struct sample){.now_ns = 2000, .cpus = 3, .cpu_count = 3};
    before.cpu[0] = (struct cpu_sample){.guest_ns = 500, .steward_ns = 20, .idle_ns = 7};
    now.cpu[0] = (struct cpu_sample){.guest_ns = 1110, .steward_ns = 50, .idle_ns = 347};
    now.cpu[1] = (struct cpu_sample){.guest_ns = 1700, .idle_ns = 3}; /* a turn that began before */
    before.cpu[2].idle_ns = 9;                                        /* what cannot be */
    cpu_line(&now, &before, 80, line, sizeof line);
    assert_string_equal(line, "CPU% guest/core/steward/idle  0: 61/2/3/34  1: 100/0/0/0  2: 0/100/0/0\n");
    cpu_line(&now, &before, 60, line, sizeof line);
    assert_string_equal(line, "CPU% busy  0: 66  1: 100  2: 100\n");
    cpu_line(&now, &before, 30, line, sizeof line);
    assert_string_equal(line, "CPUs, busy in tenths (*: all) \n");
    cpu_line(&now, NULL, 80, line, sizeof line);
    assert_string_equal(line, "");
    before.cpu_count = 2; /* another machine */
    cpu_line(&now, &before, 80, line, sizeof line);
    assert_string_equal(line, "");
    now.cpu_count = before.cpu_count = TITHE_CPUS_MAX;
    for (i = 0; i < TITHE_CPUS_MAX; i++)
        now.cpu[i] = (struct cpu_sample){.guest_ns = UINT64_MAX, .steward_ns = UINT64_MAX, .idle_ns = 505};
    cpu_line(&now, &before, 120, line, sizeof line);
    assert_memory_equal(line, "CPUs, busy in tenths (*: all)  ***", 34);
    assert_int_equal(strlen(line), 32 + TITHE_CPUS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_read),
        cmocka_unit_test(bad_sizes_are_refused_with_the_forms),
        cmocka_unit_test(sizes_are_written_as_people_do),
        cmocka_unit_test(numbers_have_a_range),
        cmocka_unit_test(options_and_arguments_mix),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(prompt_lines_are_split),
        cmocka_unit_test(templates_are_filled),
        cmocka_unit_test(the_log_tells_how_it_ended),
        cmocka_unit_test(terminals_are_spared),
        cmocka_unit_test(only_word_and_status_together_are_success),
        cmocka_unit_test(impossible_combinations_say_what_is_possible),
        cmocka_unit_test(envelopes_are_read),
        cmocka_unit_test(json_is_json),
        cmocka_unit_test(cpus_have_a_line_as_detailed_as_it_fits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
