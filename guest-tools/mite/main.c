// SPDX-License-Identifier: MIT
#include "apic.h"
#include "attend.h"
#include "balloon.h"
#include "boot.h"
#include "clock.h"
#include "console.h"
#include "pages.h"
#include "pattern.h"
#include "script.h"
#include "team.h"
#include "text.h"
#include "trap.h"
#include "workload.h"

#define EXIT_NO_START 4

_Noreturn void kernel_main(uint32_t magic, const void *info);

static struct boot boot;

struct options {
    struct span script;
    uint64_t seed;
    uint64_t poll_us;
    uint64_t patience_us;
    uint64_t balloon;
    uint32_t balloon_rate_pages;
    uint64_t vcpus;
    enum timer_mode timer;
    bool x2apic;
};

static _Noreturn void refuse(struct span what, const char *reason)
{
    script_complain(what, reason);
    say("mite: exit code=%u\n", EXIT_BAD_SCRIPT);
    machine_exit(EXIT_BAD_SCRIPT);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Takes the next word off `text`; an empty one at its end.
static struct span next_word(struct span *text)
{
    while (text->length > 0 && is_space(text->at[0])) *text = span_skip(*text, 1);
    struct span word = {text->at, 0};
    while (word.length < text->length && !is_space(text->at[word.length])) word.length++;
    *text = span_skip(*text, word.length);
    return word;
}

static bool parse_timer(struct span value, enum timer_mode *mode)
{
    static const char *const names[TIMER_MODES] = {"deadline", "one-shot", "periodic"};
    for (uint32_t i = 0; i < TIMER_MODES; i++) {
        *mode = (enum timer_mode)i;
        if (span_is(value, names[i])) return true;
    }
    return false;
}

static void read_option(struct span word, struct options *options)
{
    uint32_t name_length = span_find(word, '=');
    struct span name = {word.at, name_length};
    if (span_is(word, "x2apic")) {
        options->x2apic = true;
        return;
    }
    if (name_length == word.length) refuse(word, "no such word");
    struct span value = span_skip(word, name_length + 1);
    if (span_is(name, "run")) {
        options->script = value;
    } else if (span_is(name, "balloon")) {
        if (!parse_number(value, &options->balloon) || options->balloon > UINT32_MAX - PAGE_BYTES)
            refuse(word, "balloon wants an address below 4 GiB");
    } else if (span_is(name, "balloon_rate")) {
        if (!parse_rate(value, &options->balloon_rate_pages))
            refuse(word, "a rate is a size with /s after it");
    } else if (span_is(name, "vcpus")) {
        if (span_is(value, "all"))
            options->vcpus = smp_count();
        else if (!parse_number(value, &options->vcpus) || options->vcpus == 0 || options->vcpus > CPUS_MAX)
            refuse(word, "vcpus wants a number from 1 to 8, or all");
    } else if (span_is(name, "timer")) {
        if (!parse_timer(value, &options->timer)) refuse(word, "a timer is deadline, one-shot or periodic");
    } else if (span_is(name, "seed")) {
        if (!parse_number(value, &options->seed) || options->seed > UINT32_MAX)
            refuse(word, "a seed is a number of 32 bits");
    } else if (span_is(name, "poll")) {
        if (!parse_us(value, &options->poll_us)) refuse(word, "a time is a number with us, ms or s");
    } else if (span_is(name, "wait")) {
        if (!parse_us(value, &options->patience_us)) refuse(word, "a time is a number with us, ms or s");
    } else {
        refuse(word, "no such word");
    }
}

// The first word is the kernel's name with some loaders, and not with others.
static void read_options(struct span line, struct options *options)
{
    for (bool first = true;; first = false) {
        struct span word = next_word(&line);
        if (word.length == 0) return;
        if (first && span_find(word, '=') == word.length && !span_is(word, "x2apic")) continue;
        read_option(word, options);
    }
}

static struct span module_script(void)
{
    struct span text = span_of(boot.module);
    return next_word(&text);
}

_Noreturn void kernel_main(uint32_t magic, const void *info)
{
    console_init();
    trap_init();
    if (!boot_read(magic, info, &boot) || !pages_init(&boot)) {
        say("mite: exit code=%u: not started by a Multiboot loader, or no memory\n", EXIT_NO_START);
        machine_exit(EXIT_NO_START);
    }
    struct options options = {.vcpus = 1,
                              .poll_us = POLL_DEFAULT_US,
                              .balloon = BALLOON_ADDRESS,
                              .balloon_rate_pages = BALLOON_RATE_PAGES_DEFAULT};
    read_options(span_of(boot.command_line), &options);
    if (options.script.length == 0) options.script = module_script();
    if (options.script.length == 0) options.script = span_of("idle");
    apic_init(options.x2apic);
    clock_init();
    pattern_seed((uint32_t)options.seed);
    workload_patience_us(options.patience_us);
    attend_every_us(options.poll_us);
    attend_sleep_with(options.timer);
    balloon_set_rate(options.balloon_rate_pages);
    bool has_balloon = balloon_open((uint32_t)options.balloon);
    say("mite: ready mem_pages=%u own_pages=%u tsc_khz=%u apic_khz=%u clock=%s apic=%s balloon=%s "
        "vcpus=%u\n",
        pages_managed(), pages_own(), clock_tsc_khz(), clock_apic_khz(), clock_source(),
        apic_is_x2apic() ? "x2apic" : "xapic", has_balloon ? "yes" : "no", (uint32_t)options.vcpus);
    if (!team_start((uint32_t)options.vcpus)) {
        say("mite: exit code=%u: not so many vCPUs\n", EXIT_NO_START);
        machine_exit(EXIT_NO_START);
    }
    if (!script_check(options.script)) {
        say("mite: exit code=%u\n", EXIT_BAD_SCRIPT);
        machine_exit(EXIT_BAD_SCRIPT);
    }
    script_run(options.script);
    say("mite: exit code=0\n");
    machine_exit(0);
}
