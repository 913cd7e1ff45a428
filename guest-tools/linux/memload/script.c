/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "input.h"
#include "meminfo.h"

#define AWAIT_PERIOD_MS 50u

const char script_help[] =
    "A script is a list of phases, separated by commas:\n"
    "  touch:SIZE[:KIND]  write SIZE (K, M, G) of fresh memory in full; waits while the guest is short of\n"
    "                 memory. KIND: unique; alike (with every seed); zero (again after every second "
    "rewrite);\n"
    "                 quarter (says its first quarter four times)\n"
    "  verify         read everything back and compare\n"
    "  rewrite        write everything anew, with another pattern\n"
    "  hold:TIME      keep verifying, slowly, for TIME (ms, s, m)\n"
    "  keep           keep verifying, slowly, until a line comes in on the console\n"
    "  work:N         N threads check random pages and write one in four anew, until a line comes in\n"
    "  use:SIZE       use the first SIZE all the time, and nothing else, until a line comes in\n"
    "  disk:SIZE      write the first SIZE to /dev/vda and read it back, past the page cache, until a line\n"
    "                 comes in; what was on the disk is lost\n"
    "  await          sleep until a line comes in on the console\n"
    "  free           give all memory back to the guest's kernel\n"
    "  wait:TIME      sleep\n"
    "  ticks:TIME     sleep in steps of 10 ms and report the longest gap: a pause of the guest shows\n"
    "  clock          print the time\n"
    "  loop:N:(...)   run the phases in the brackets N times\n";

/* A phase and what it does; exactly one of the functions is there. */
struct phase {
    const char *name;
    int (*plain)(struct load *load);
    int (*with_count)(struct load *load, unsigned count);
    int (*with_kind)(struct load *load, uint64_t bytes, enum kind kind);
    int (*with_size)(struct load *load, uint64_t bytes);
    int (*with_time)(struct load *load, uint64_t ms);
};

static int phase_wait(struct load *load, uint64_t ms)
{
    (void)load;
    clock_sleep_ms(ms);
    printf("memload: phase=wait ms=%" PRIu64 "\n", ms);
    return 0;
}

static int phase_await(struct load *load)
{
    (void)load;
    puts("memload: phase=await");
    while (!input_has_line()) clock_sleep_ms(AWAIT_PERIOD_MS);
    return 0;
}

static int phase_ticks(struct load *load, uint64_t ms)
{
    (void)load;
    return clock_ticks(ms);
}

static int phase_clock(struct load *load)
{
    (void)load;
    return clock_print();
}

static const struct phase phases[] = {
    {.name = "touch", .with_kind = load_touch},  {.name = "verify", .plain = load_verify},
    {.name = "rewrite", .plain = load_rewrite},  {.name = "hold", .with_time = load_hold},
    {.name = "free", .plain = load_free},        {.name = "wait", .with_time = phase_wait},
    {.name = "ticks", .with_time = phase_ticks}, {.name = "clock", .plain = phase_clock},
    {.name = "keep", .plain = load_keep},        {.name = "await", .plain = phase_await},
    {.name = "work", .with_count = load_work},   {.name = "use", .with_size = load_use},
    {.name = "disk", .with_size = load_disk},
};

static const char *const kinds[] = {
    [KIND_UNIQUE] = "unique", [KIND_ALIKE] = "alike", [KIND_ZERO] = "zero", [KIND_QUARTER] = "quarter"};

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {{"K", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit time_units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {NULL, 0}};

/* A number directly followed by one of the units, and by nothing else. */
static int parse_amount(const char *text, const struct unit *units, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9') return -1;
    uint64_t number = strtoull(text, &end, 10);
    for (; units->name; units++)
        if (!strcmp(end, units->name)) {
            if (number > UINT32_MAX) return -1;
            *out = number * units->factor;
            return 0;
        }
    return -1;
}

static int complain(const char *item, const char *reason)
{
    printf("memload: FAIL reason=\"script: %s: %s\"\n", item, reason);
    return -1;
}

/* SIZE[:KIND]; cuts the text up. */
static int parse_size_and_kind(char *text, uint64_t *bytes, enum kind *kind)
{
    char *colon = strchr(text, ':');
    *kind = KIND_UNIQUE;
    if (colon) {
        size_t k = 0, count = sizeof kinds / sizeof *kinds;
        while (k < count && strcmp(kinds[k], colon + 1)) k++;
        if (k == count) return -1;
        *kind = (enum kind)k;
        *colon = 0;
    }
    return parse_amount(text, size_units, bytes);
}

static int run_phase(char *item, struct load *load)
{
    char *arg = strchr(item, ':');
    size_t length = arg ? (size_t)(arg - item) : strlen(item);
    for (const struct phase *p = phases; p < phases + sizeof phases / sizeof *phases; p++) {
        if (strlen(p->name) != length || strncmp(p->name, item, length)) continue;
        uint64_t amount = 0;
        enum kind kind;
        if (p->plain) {
            if (arg) return complain(item, "takes no argument");
            return load ? p->plain(load) : 0;
        }
        if (p->with_kind) {
            if (!arg || parse_size_and_kind(arg + 1, &amount, &kind))
                return complain(item, "wants a size such as 64M, or 64M:zero");
            return load ? p->with_kind(load, amount, kind) : 0;
        }
        if (p->with_count) {
            if (!arg || parse_amount(arg + 1, no_units, &amount)) return complain(item, "wants a number");
            return load ? p->with_count(load, (unsigned)amount) : 0;
        }
        if (!arg || parse_amount(arg + 1, p->with_size ? size_units : time_units, &amount))
            return complain(item, p->with_size ? "wants a size such as 64M" : "wants a time such as 5s");
        if (!load) return 0;
        return p->with_size ? p->with_size(load, amount) : p->with_time(load, amount);
    }
    return complain(item, "no such phase");
}

/* The end of the item that starts here: the next comma outside of brackets. Null when brackets do not match. */
static char *item_end(char *at)
{
    int open = 0;
    for (; *at && !(*at == ',' && open == 0); at++) {
        open += (*at == '(') - (*at == ')');
        if (open < 0) return NULL;
    }
    return open ? NULL : at;
}

static int run_list(char *at, struct load *load, int depth);

/* loop:N:(...) */
static int run_loop(char *item, struct load *load, int depth)
{
    char *end;
    unsigned long times = strtoul(item + strlen("loop:"), &end, 10);
    size_t length = strlen(end);
    if (times < 1 || length < 4 || strncmp(end, ":(", 2) || end[length - 1] != ')')
        return complain(item, "wants the form loop:3:(touch:1M,free)");
    if (depth == SCRIPT_DEPTH_MAX) return complain(item, "too many loops inside each other");
    end[length - 1] = 0;
    for (unsigned long i = 0; i < (load ? times : 1); i++) {
        char *body = strdup(end + 2);
        if (!body) return complain(item, "out of memory");
        int failed = run_list(body, load, depth + 1);
        free(body);
        if (failed) return -1;
    }
    return 0;
}

/* Runs each item; cuts the text up on the way. */
static int run_list(char *at, struct load *load, int depth)
{
    for (;;) {
        char *end = item_end(at);
        if (!end) return complain(at, "brackets do not match");
        int last = !*end;
        *end = 0;
        if (strncmp(at, "loop:", 5) == 0) {
            if (run_loop(at, load, depth)) return -1;
        } else {
            if (run_phase(at, load)) return -1;
            if (load) meminfo_print();
        }
        if (last) return 0;
        at = end + 1;
    }
}

int script_run(const char *script, struct load *load)
{
    char *text = strdup(script);
    if (!text) return complain(script, "out of memory");
    int failed = run_list(text, load, 0);
    free(text);
    return failed;
}
