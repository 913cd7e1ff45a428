// SPDX-License-Identifier: MIT
#include "workload.h"

#include "attend.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "pattern.h"

#define EXIT_WRONG_DATA 1
#define ERRORS_SHOWN    4

// The clock is read once per so many pages.
#define PAGES_PER_LOOK 16

static uint64_t patience_us;
static uint32_t verified_total;
static uint32_t random_state = 1;

// Progress through a job: keeps the balloon served and the pace.
struct job {
    uint64_t start;
    uint32_t done_count;
    struct pace pace;
};

static struct job job_begin(struct pace pace)
{
    return (struct job){rdtsc(), 0, pace};
}

static void job_step(struct job *job)
{
    job->done_count++;
    if (job->done_count % PAGES_PER_LOOK != 0) return;
    attend();
    if (job->pace.pages_per_second != 0) {
        uint64_t us = divide((uint64_t)job->done_count * 1000000, job->pace.pages_per_second);
        sleep_until(job->start + clock_us_to_ticks(us));
    }
}

static void job_end(const struct job *job, const char *verb)
{
    say("mite: %s pages=%u ticks=%llu\n", verb, job->done_count, rdtsc() - job->start);
}

void workload_patience_us(uint64_t us)
{
    patience_us = us;
}

static void renew(uint32_t page)
{
    page_next_version(page);
    pattern_write(page);
    page_mark_used(page);
}

// The lowest available page, for which it waits as long as it has patience.
static uint32_t claim(void)
{
    uint32_t page = pages_lowest_available();
    if (page != PAGE_NONE || patience_us == 0) return page;
    uint64_t give_up = rdtsc() + clock_us_to_ticks(patience_us);
    while ((page = pages_lowest_available()) == PAGE_NONE && rdtsc() < give_up)
        sleep_until(rdtsc() + clock_us_to_ticks(POLL_DEFAULT_US));
    return page;
}

void workload_touch(uint32_t page_count, enum page_kind kind, struct pace pace)
{
    if (page_count == PAGES_ALL) page_count = pages_available();
    struct job job = job_begin(pace);
    while (job.done_count < page_count) {
        uint32_t page = claim();
        if (page == PAGE_NONE) break;
        page_set_state(page, PAGE_HELD);
        page_set_kind(page, kind);
        renew(page);
        job_step(&job);
    }
    if (job.done_count < page_count) say("mite: touch short wanted_pages=%u\n", page_count);
    job_end(&job, "touch");
}

static void read_page(uint32_t page)
{
    pattern_read(page);
    page_mark_used(page);
}

static void for_lowest_held(uint32_t page_count, struct pace pace, void (*act)(uint32_t page),
                            const char *verb)
{
    struct job job = job_begin(pace);
    uint32_t page = pages_next(PAGE_HELD, 0);
    while (page != PAGE_NONE && job.done_count < page_count) {
        act(page);
        job_step(&job);
        page = pages_next(PAGE_HELD, page + 1);
    }
    job_end(&job, verb);
}

void workload_read(uint32_t page_count, struct pace pace)
{
    for_lowest_held(page_count, pace, read_page, "read");
}

void workload_rewrite(uint32_t page_count, struct pace pace)
{
    for_lowest_held(page_count, pace, renew, "rewrite");
}

// Xorshift (Marsaglia 2003), the 32-bit one with 13, 17, 5.
static uint32_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

static uint32_t random_below(uint32_t limit)
{
    return (uint32_t)(((uint64_t)random_next() * limit) >> 32);
}

void workload_rewrite_part(uint32_t millionths)
{
    struct job job = job_begin((struct pace){0});
    uint32_t page = pages_next(PAGE_HELD, 0);
    for (; page != PAGE_NONE; page = pages_next(PAGE_HELD, page + 1)) {
        if (random_below(1000000) < millionths) {
            renew(page);
            job_step(&job);
        }
    }
    job_end(&job, "rewrite");
}

void workload_random(uint64_t write_count)
{
    struct job job = job_begin((struct pace){0});
    while (job.done_count < write_count && pages_count(PAGE_HELD) > 0) {
        uint32_t page = pages_next(PAGE_HELD, random_below(pages_end()));
        if (page == PAGE_NONE) page = pages_next(PAGE_HELD, 0);
        renew(page);
        job_step(&job);
    }
    job_end(&job, "random");
}

void workload_free(uint32_t page_count)
{
    uint32_t freed_count = 0;
    while (freed_count < page_count) {
        uint32_t page = pages_highest(PAGE_HELD);
        if (page == PAGE_NONE) break;
        page_set_state(page, PAGE_FREE);
        freed_count++;
    }
    say("mite: free pages=%u\n", freed_count);
}

void workload_verify(void)
{
    struct job job = job_begin((struct pace){0});
    uint32_t wrong_count = 0;
    uint32_t page = pages_next(PAGE_HELD, 0);
    for (; page != PAGE_NONE; page = pages_next(PAGE_HELD, page + 1)) {
        struct pattern_error error;
        page_mark_used(page);
        if (!pattern_check(page, &error) && ++wrong_count <= ERRORS_SHOWN)
            say("mite: verify FAIL gpa=0x%x expected=0x%x got=0x%x\n", error.address, error.expected,
                error.got);
        job_step(&job);
    }
    verified_total += job.done_count;
    if (wrong_count > 0) {
        say("mite: verify FAIL pages=%u wrong_pages=%u\n", job.done_count, wrong_count);
        say("mite: exit code=%u\n", EXIT_WRONG_DATA);
        machine_exit(EXIT_WRONG_DATA);
    }
    say("mite: verify ok pages=%u ticks=%llu\n", job.done_count, rdtsc() - job.start);
}

void workload_spoil(void)
{
    uint32_t page = pages_lowest(PAGE_HELD);
    if (page == PAGE_NONE) return;
    uint32_t last_word = page_address(page) + PAGE_BYTES - 4;
    mmio_write32(last_word, ~mmio_read32(last_word));
}

void workload_report(void)
{
    say("mite: report touched_pages=%u held_pages=%u working_set_pages=%u free_pages=%u "
        "ballooned_pages=%u verified_pages=%u own_pages=%u\n",
        pages_count(PAGE_HELD) + pages_count(PAGE_FREE), pages_count(PAGE_HELD), pages_used(),
        pages_available(), pages_count(PAGE_BALLOONED), verified_total, pages_own());
    pages_forget_use();
}
