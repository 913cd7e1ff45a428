// SPDX-License-Identifier: MIT
#include "verbs.h"

#include "attend.h"
#include "balloon.h"
#include "bench.h"
#include "blocks.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "disk.h"
#include "files.h"
#include "fpu.h"
#include "hostile.h"
#include "hostile_balloon.h"
#include "hostile_disk.h"
#include "pages.h"
#include "power.h"
#include "ticks.h"
#include "together.h"
#include "workload.h"

#define EXIT_FAILED 1

static const char *const bad_size = "a size is a number with K, M, G or p (pages), or all";
static const char *const bad_rate = "a rate is a size with /s after it";
static const char *const bad_time = "a time is a number with us, ms or s";

// SIZE, or SIZE@RATE.
static const char *parse_amount(struct span text, uint32_t *page_count, struct pace *pace)
{
    uint32_t at = span_find(text, '@');
    struct span size = {text.at, at};
    *pace = (struct pace){0};
    if (span_is(size, "all"))
        *page_count = PAGES_ALL;
    else if (!parse_pages(size, page_count))
        return bad_size;
    if (at == text.length) return NULL;
    return parse_rate(span_skip(text, at + 1), &pace->pages_per_second) ? NULL : bad_rate;
}

static const char *parse_kind(struct span text, enum page_kind *kind)
{
    static const char *const names[KIND_COUNT] = {"unique", "alike",  "zero",   "half",
                                                  "sparse", "signed", "quarter"};
    *kind = KIND_UNIQUE;
    if (text.length == 0) return NULL;
    for (uint32_t i = 0; i < KIND_COUNT; i++) {
        if (span_is(text, names[i])) {
            *kind = (enum page_kind)i;
            return NULL;
        }
    }
    return "a kind is unique, alike, zero, half, sparse, signed or quarter";
}

static const char *verb_touch(const struct verb_call *call)
{
    uint32_t page_count;
    struct pace pace;
    enum page_kind kind;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason) reason = parse_kind(call->arguments[1], &kind);
    if (!reason && !call->dry) workload_touch(page_count, kind, pace);
    return reason;
}

static const char *verb_read(const struct verb_call *call)
{
    uint32_t page_count;
    struct pace pace;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason && !call->dry) workload_read(page_count, pace);
    return reason;
}

static const char *verb_rewrite(const struct verb_call *call)
{
    uint32_t page_count = PAGES_ALL;
    uint32_t millionths;
    struct pace pace = {0};
    if (span_is(call->arguments[0], "random")) {
        if (!parse_millionths(call->arguments[1], &millionths))
            return "rewrite:random wants a part from 0 to 1, like 0.2";
        if (!call->dry) workload_rewrite_part(millionths);
        return NULL;
    }
    if (call->arguments[1].length > 0) return "too many arguments";
    const char *reason = NULL;
    if (call->arguments[0].length > 0) reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason && !call->dry) workload_rewrite(page_count, pace);
    return reason;
}

static const char *verb_random(const struct verb_call *call)
{
    uint64_t count;
    if (!parse_number(call->arguments[0], &count)) return "random wants a number of writes";
    if (!call->dry) workload_random(count);
    return NULL;
}

static const char *verb_free(const struct verb_call *call)
{
    uint32_t page_count;
    struct pace pace;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason && pace.pages_per_second != 0) return "free has no rate";
    if (!reason && !call->dry) workload_free(page_count);
    return reason;
}

static const char *verb_give(const struct verb_call *call)
{
    uint32_t page_count;
    struct pace pace;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason && pace.pages_per_second != 0) return "give has no rate";
    if (!reason && !call->dry) balloon_give(page_count);
    return reason;
}

static const char *verb_balloon(const struct verb_call *call)
{
    if (!call->dry) {
        balloon_service();
        balloon_print();
    }
    return NULL;
}

// Waits for one of the states that a balloon comes to rest in.
static const char *verb_await(const struct verb_call *call)
{
    bool inflated = span_is(call->arguments[0], "inflated");
    bool deflated = span_is(call->arguments[0], "deflated");
    uint64_t us;
    if (!inflated && !deflated) return "await wants inflated or deflated";
    if (!parse_us(call->arguments[1], &us)) return bad_time;
    if (call->dry) return NULL;
    uint64_t give_up = rdtsc() + clock_us_to_ticks(us);
    while ((pages_count(PAGE_BALLOONED) > 0) != inflated || pages_count(PAGE_BALLOONED) != balloon_target()) {
        if (rdtsc() >= give_up) {
            balloon_print();
            say("mite: await FAIL\nmite: exit code=%u\n", EXIT_FAILED);
            machine_exit(EXIT_FAILED);
        }
        sleep_until(rdtsc() + clock_us_to_ticks(POLL_DEFAULT_US));
    }
    return NULL;
}

static const char *verb_verify(const struct verb_call *call)
{
    if (!call->dry) workload_verify();
    return NULL;
}

static const char *verb_spoil(const struct verb_call *call)
{
    if (!call->dry) workload_spoil();
    return NULL;
}

static const char *verb_report(const struct verb_call *call)
{
    if (!call->dry) workload_report();
    return NULL;
}

static const char *verb_idle(const struct verb_call *call)
{
    uint64_t us = 0;
    bool forever = call->arguments[0].length == 0;
    if (!forever && !parse_us(call->arguments[0], &us)) return bad_time;
    if (!call->dry) sleep_until(forever ? UINT64_MAX : rdtsc() + clock_us_to_ticks(us));
    return NULL;
}

static const char *verb_spin(const struct verb_call *call)
{
    uint64_t us;
    if (!parse_us(call->arguments[0], &us)) return bad_time;
    if (!call->dry) spin_until(rdtsc() + clock_us_to_ticks(us));
    return NULL;
}

static const char *verb_ticks(const struct verb_call *call)
{
    uint64_t us;
    if (!parse_us(call->arguments[0], &us)) return bad_time;
    if (!call->dry) ticks_run(us);
    return NULL;
}

static const char *verb_together(const struct verb_call *call)
{
    uint32_t page_count;
    uint64_t us, nap_us = 0;
    struct pace pace;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (reason) return reason;
    if (pace.pages_per_second != 0) return "together has no rate";
    if (!parse_us(call->arguments[1], &us)) return bad_time;
    if (call->arguments[2].length > 0 && !parse_us(call->arguments[2], &nap_us)) return bad_time;
    if (!call->dry) together_run(page_count, us, nap_us);
    return NULL;
}

static const char *verb_burn(const struct verb_call *call)
{
    uint64_t us;
    if (!parse_us(call->arguments[0], &us)) return bad_time;
    if (!call->dry) together_burn(us);
    return NULL;
}

static const char *verb_say(const struct verb_call *call)
{
    if (!call->dry) say("mite: say %.*s\n", call->arguments[0].length, call->arguments[0].at);
    return NULL;
}

static const char *parse_count(struct span text, uint32_t default_count, uint32_t *count)
{
    uint64_t value = default_count;
    if (text.length > 0 && (!parse_number(text, &value) || value > UINT32_MAX)) return "a count has 32 bits";
    *count = (uint32_t)value;
    return NULL;
}

static const char *verb_cpuid(const struct verb_call *call)
{
    uint32_t count;
    const char *reason = parse_count(call->arguments[0], 0, &count);
    if (!reason && !call->dry) bench_cpuid(count);
    return reason;
}

static const char *verb_bench(const struct verb_call *call)
{
    static const struct {
        const char *name;
        uint32_t default_count;
        void (*run)(uint32_t count);
    } benches[] = {{"cpuid", 1000, bench_cpuid},   {"first_touch", 1000, bench_first_touch},
                   {"serial", 64, bench_serial},   {"inflate", 16, bench_inflate},
                   {"deflate", 16, bench_deflate}, {"touch", 1000, together_touch},
                   {"ipi", 1000, bench_ipi},       {"ipi_halt", 1000, bench_ipi_halt},
                   {"flush", 256, bench_flush},    {"read", 1000, bench_read},
                   {"write", 1000, bench_write}};
    for (uint32_t i = 0; i < sizeof benches / sizeof *benches; i++) {
        if (!span_is(call->arguments[0], benches[i].name)) continue;
        uint32_t count;
        const char *reason = parse_count(call->arguments[1], benches[i].default_count, &count);
        if (!reason && !call->dry) benches[i].run(count);
        return reason;
    }
    return "bench knows cpuid, first_touch, serial, inflate, deflate, touch, ipi, ipi_halt, flush, read and "
           "write";
}

static const char *verb_fpu(const struct verb_call *call)
{
    uint64_t us;
    if (!parse_us(call->arguments[0], &us)) return bad_time;
    if (!call->dry && !fpu_hold((uint32_t)rdtsc(), us)) {
        say("mite: exit code=%u\n", EXIT_FAILED);
        machine_exit(EXIT_FAILED);
    }
    return NULL;
}

static const char *verb_badop(const struct verb_call *call)
{
    if (!hostile_known(call->arguments[0])) return "no such act";
    if (!call->dry) hostile_run(call->arguments[0]);
    return NULL;
}

static const char *verb_badballoon(const struct verb_call *call)
{
    if (!hostile_balloon_known(call->arguments[0])) return "no such act";
    if (!call->dry) hostile_balloon_run(call->arguments[0]);
    return NULL;
}

static const char *verb_disk(const struct verb_call *call)
{
    uint32_t page_count, rounds;
    struct pace pace;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason) reason = parse_count(call->arguments[1], 1, &rounds);
    if (!reason && !call->dry) disk_run(page_count, rounds);
    return reason;
}

static const char *with_disk(const struct verb_call *call, void (*run)(uint32_t page_count, uint32_t steps))
{
    uint32_t page_count, steps;
    struct pace pace;
    const char *reason = parse_amount(call->arguments[0], &page_count, &pace);
    if (!reason) reason = parse_count(call->arguments[1], 1, &steps);
    if (!reason && !call->dry) run(page_count, steps);
    return reason;
}

static const char *verb_files(const struct verb_call *call)
{
    return with_disk(call, files_run);
}

static const char *verb_blocks(const struct verb_call *call)
{
    return with_disk(call, blocks_run);
}

static const char *verb_baddisk(const struct verb_call *call)
{
    if (!hostile_disk_known(call->arguments[0])) return "no such act; see README.md";
    if (!call->dry) hostile_disk_run(call->arguments[0]);
    return NULL;
}

static const char *verb_exit(const struct verb_call *call)
{
    uint64_t code = 0;
    if (call->arguments[0].length > 0 && (!parse_number(call->arguments[0], &code) || code > UINT32_MAX))
        return "exit wants a code of 32 bits";
    if (!call->dry) {
        say("mite: exit code=%u\n", (uint32_t)code);
        machine_exit((uint32_t)code);
    }
    return NULL;
}

static const char *verb_reboot(const struct verb_call *call)
{
    if (!call->dry) power_reboot();
    return NULL;
}

static const char *verb_poweroff(const struct verb_call *call)
{
    if (!call->dry) power_off();
    return NULL;
}

static const char *verb_crash(const struct verb_call *call)
{
    if (!call->dry) power_crash();
    return NULL;
}

static const struct verb verbs[] = {
    {"touch", 1, 2, verb_touch},       {"read", 1, 1, verb_read},
    {"verify", 0, 0, verb_verify},     {"rewrite", 0, 2, verb_rewrite},
    {"random", 1, 1, verb_random},     {"free", 1, 1, verb_free},
    {"give", 1, 1, verb_give},         {"balloon", 0, 0, verb_balloon},
    {"await", 2, 2, verb_await},       {"report", 0, 0, verb_report},
    {"idle", 0, 1, verb_idle},         {"spin", 1, 1, verb_spin},
    {"ticks", 1, 1, verb_ticks},       {"say", 1, 1, verb_say},
    {"exit", 0, 1, verb_exit},         {"reboot", 0, 0, verb_reboot},
    {"poweroff", 0, 0, verb_poweroff}, {"cpuid", 1, 1, verb_cpuid},
    {"bench", 1, 2, verb_bench},       {"fpu", 1, 1, verb_fpu},
    {"badop", 1, 1, verb_badop},       {"badballoon", 1, 1, verb_badballoon},
    {"together", 2, 3, verb_together}, {"burn", 1, 1, verb_burn},
    {"disk", 1, 2, verb_disk},         {"baddisk", 1, 1, verb_baddisk},
    {"files", 2, 2, verb_files},       {"spoil", 0, 0, verb_spoil},
    {"blocks", 2, 2, verb_blocks},     {"crash", 0, 0, verb_crash},
};

const struct verb *verb_find(struct span name)
{
    for (uint32_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (span_is(name, verbs[i].name)) return &verbs[i];
    return NULL;
}
