// SPDX-License-Identifier: MIT
#include "together.h"

#include "apic.h"
#include "attend.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "pages.h"
#include "pattern.h"
#include "team.h"

#define EXIT_WRONG_DATA 1
#define LOCKS           64
#define NAP_EVERY       64  // rounds
#define ROUNDS_MIN      256 // however slow the machine
#define WRITER_BITS     3   // of a page's version; the rest is its generation

// What the vCPUs are at. The pages in [first, end) that are held and signed: those of page % (team_size() + 1) == cpu
// are that vCPU's alone, the rest is shared.
static uint32_t first_page, end_page;
static uint64_t work_ticks, nap_ticks;
static volatile uint32_t locks[LOCKS];

static struct result {
    uint32_t round_count, nap_count, wrong_count;
    struct pattern_error error; // the first
    uint32_t random_state;
} results[CPUS_MAX];

static bool is_signed(uint32_t page)
{
    return page_state(page) == PAGE_HELD && page_kind(page) == KIND_SIGNED;
}

static bool is_shared(uint32_t page)
{
    return page % (team_size() + 1) == team_size();
}

static bool is_own(uint32_t page, uint32_t cpu)
{
    return page % (team_size() + 1) == cpu;
}

// Takes so many available pages, without touching them.
static uint32_t claim(uint32_t page_count, bool fresh_only)
{
    uint32_t claimed;
    first_page = PAGE_NONE;
    end_page = 0;
    for (claimed = 0; claimed < page_count; claimed++) {
        uint32_t page = fresh_only ? pages_lowest(PAGE_FRESH) : pages_lowest_available();
        if (page == PAGE_NONE) break;
        page_set_state(page, PAGE_HELD);
        page_set_kind(page, KIND_SIGNED);
        page_set_version(page, 0);
        page_mark_used(page);
        if (page < first_page) first_page = page;
        if (page >= end_page) end_page = page + 1;
    }
    return claimed;
}

static void check(uint32_t page, struct result *result)
{
    struct pattern_error error;
    if (page_version(page) == 0 || pattern_check(page, &error)) return;
    if (result->wrong_count++ == 0) result->error = error;
}

static void sign(uint32_t page, uint32_t cpu)
{
    uint32_t generation = (page_version(page) >> WRITER_BITS) + 1;
    page_set_version(page, generation << WRITER_BITS | cpu);
    pattern_write(page);
}

static void renew(uint32_t page, uint32_t cpu)
{
    check(page, &results[cpu]);
    sign(page, cpu);
}

static void renew_shared(uint32_t page, uint32_t cpu)
{
    volatile uint32_t *lock = &locks[page % LOCKS];
    while (__sync_lock_test_and_set(lock, 1)) pause();
    renew(page, cpu);
    __sync_lock_release(lock);
}

// Xorshift (Marsaglia 2003), the 32-bit one with 13, 17, 5.
static uint32_t random_page(struct result *result)
{
    uint32_t *x = &result->random_state;
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return first_page + (uint32_t)(((uint64_t)*x * (end_page - first_page)) >> 32);
}

static void nap(struct result *result)
{
    uint64_t deadline = rdtsc() + nap_ticks;
    enum timer_mode mode = (enum timer_mode)(result->nap_count++ % TIMER_MODES);
    while (rdtsc() < deadline) {
        apic_timer_wake_at(deadline, mode);
        wait_for_interrupt();
    }
    apic_timer_stop();
}

static void work(uint32_t cpu)
{
    struct result *result = &results[cpu];
    // Shared ones come at once with the others', or a little before or after.
    for (uint32_t page = first_page; page < end_page; page++) {
        if (!is_signed(page)) continue;
        if (is_own(page, cpu)) sign(page, cpu);
        if (is_shared(page)) renew_shared(page, cpu);
    }
    uint64_t end = rdtsc() + work_ticks;
    for (uint32_t round = 1; round <= ROUNDS_MIN || rdtsc() < end; round++) {
        uint32_t page = random_page(result);
        if (is_signed(page) && is_own(page, cpu)) {
            renew(page, cpu);
            result->round_count++;
        } else if (is_signed(page) && is_shared(page)) {
            renew_shared(page, cpu);
            result->round_count++;
        }
        attend();
        if (nap_ticks != 0 && round % NAP_EVERY == 0) nap(result);
    }
}

static void begin(uint64_t us)
{
    for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
        results[cpu] = (struct result){.random_state = mix(cpu + 1)};
    work_ticks = clock_us_to_ticks(us);
}

static void print_rounds(const char *verb)
{
    say(" %s=", verb);
    for (uint32_t cpu = 0; cpu < team_size(); cpu++) say(cpu == 0 ? "%u" : "/%u", results[cpu].round_count);
}

void together_run(uint32_t page_count, uint64_t us, uint64_t nap_us)
{
    if (page_count > pages_available()) page_count = pages_available();
    page_count = claim(page_count, false);
    if (page_count == 0) {
        say("mite: together short\n");
        return;
    }
    nap_ticks = clock_us_to_ticks(nap_us);
    begin(us);
    team_do(work);
    uint32_t wrong_count = 0, nap_count = 0;
    for (uint32_t cpu = 0; cpu < team_size(); cpu++) {
        const struct result *r = &results[cpu];
        if (r->wrong_count > 0)
            say("mite: together FAIL cpu=%u gpa=0x%x expected=0x%x got=0x%x wrong_pages=%u\n", cpu,
                r->error.address, r->error.expected, r->error.got, r->wrong_count);
        wrong_count += r->wrong_count;
        nap_count += r->nap_count;
    }
    if (wrong_count > 0) {
        say("mite: exit code=%u\n", EXIT_WRONG_DATA);
        machine_exit(EXIT_WRONG_DATA);
    }
    say("mite: together ok vcpus=%u pages=%u naps=%u", team_size(), page_count, nap_count);
    print_rounds("rounds");
    say("\n");
}

static void burn(uint32_t cpu)
{
    for (uint64_t end = rdtsc() + work_ticks; rdtsc() < end;) {
        results[cpu].round_count++;
        attend();
        pause();
    }
}

void together_burn(uint64_t us)
{
    begin(us);
    team_do(burn);
    say("mite: burn vcpus=%u", team_size());
    print_rounds("rounds");
    say("\n");
}

// ---- costs ----

static uint32_t touchers;

static struct cost {
    uint64_t total_ticks, least_ticks, end;
    uint32_t count;
} costs[CPUS_MAX];

static void touch(uint32_t cpu)
{
    struct cost cost = {.least_ticks = UINT64_MAX};
    for (uint32_t page = first_page; page < end_page; page++) {
        if (page % touchers != cpu || !is_signed(page)) continue;
        uint64_t start = rdtsc();
        mmio_write32(page_address(page), 1);
        uint64_t ticks = rdtsc() - start;
        cost.total_ticks += ticks;
        if (ticks < cost.least_ticks) cost.least_ticks = ticks;
        cost.count++;
        pause(); // emulators that run CPUs in turns give the turn to the next one
    }
    cost.end = rdtsc();
    costs[cpu] = cost;
}

static void touch_print(uint64_t start)
{
    struct cost all = {.least_ticks = UINT64_MAX, .end = start};
    for (uint32_t cpu = 0; cpu < touchers; cpu++) {
        const struct cost *cost = &costs[cpu];
        all.total_ticks += cost->total_ticks;
        all.count += cost->count;
        if (cost->least_ticks < all.least_ticks) all.least_ticks = cost->least_ticks;
        if (cost->end > all.end) all.end = cost->end;
    }
    if (all.count == 0) {
        say("mite: bench touch count=0\n");
        return;
    }
    say("mite: bench touch count=%u average=%llu minimum=%llu vcpus=%u ticks=%llu\n", all.count,
        divide(all.total_ticks, all.count), all.least_ticks, touchers, all.end - start);
}

static void touch_if_asked(uint32_t cpu)
{
    if (cpu < touchers) touch(cpu);
}

void together_touch(uint32_t page_count)
{
    for (touchers = 1; touchers <= team_size(); touchers *= 2) {
        claim(page_count * touchers, true);
        uint64_t start = rdtsc();
        team_do(touch_if_asked);
        touch_print(start);
        for (uint32_t page = first_page; page < end_page; page++)
            if (is_signed(page) && page_version(page) == 0) page_set_state(page, PAGE_FREE);
    }
}
