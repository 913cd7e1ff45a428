// SPDX-License-Identifier: MIT
#include "bench.h"

#include "apic.h"
#include "balloon.h"
#include "console.h"
#include "cpu.h"
#include "pages.h"
#include "team.h"
#include "trap.h"

struct samples {
    uint64_t clock_ticks;
    uint64_t total_ticks;
    uint64_t least_ticks;
    uint32_t count;
};

static struct samples samples_begin(void)
{
    struct samples samples = {UINT64_MAX, 0, UINT64_MAX, 0};
    for (uint32_t i = 0; i < 16; i++) {
        uint64_t start = rdtsc();
        uint64_t ticks = rdtsc() - start;
        if (ticks < samples.clock_ticks) samples.clock_ticks = ticks;
    }
    return samples;
}

static void sample(struct samples *samples, uint64_t ticks)
{
    ticks = ticks > samples->clock_ticks ? ticks - samples->clock_ticks : 0;
    samples->total_ticks += ticks;
    if (ticks < samples->least_ticks) samples->least_ticks = ticks;
    samples->count++;
}

static void samples_print(const struct samples *samples, const char *what)
{
    if (samples->count == 0) {
        say("mite: bench %s count=0\n", what);
        return;
    }
    say("mite: bench %s count=%u average=%llu minimum=%llu\n", what, samples->count,
        divide(samples->total_ticks, samples->count), samples->least_ticks);
}

void bench_cpuid(uint32_t count)
{
    struct samples samples = samples_begin();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t start = rdtsc();
        cpuid(0, 0);
        sample(&samples, rdtsc() - start);
    }
    samples_print(&samples, "cpuid");
}

void bench_first_touch(uint32_t count)
{
    struct samples samples = samples_begin();
    while (samples.count < count) {
        uint32_t page = pages_lowest(PAGE_FRESH);
        if (page == PAGE_NONE) break;
        page_set_state(page, PAGE_FREE);
        page_mark_used(page);
        uint32_t address = page_address(page);
        uint64_t start = rdtsc();
        mmio_write32(address, 1);
        sample(&samples, rdtsc() - start);
    }
    samples_print(&samples, "first_touch");
}

void bench_serial(uint32_t count)
{
    struct samples samples = samples_begin();
    for (uint32_t i = 0; i < count; i++) {
        console_drain();
        uint64_t start = rdtsc();
        outb('.', UART_PORT);
        sample(&samples, rdtsc() - start);
    }
    say("\n");
    samples_print(&samples, "serial");
}

static void bench_balloon(bool up, const char *what, uint32_t messages)
{
    struct samples samples = samples_begin();
    uint64_t ticks;
    for (uint32_t i = 0; i < messages; i++) {
        uint32_t moved = balloon_move(up, 256, &ticks);
        if (moved == 0) break;
        sample(&samples, divide(ticks, moved));
    }
    samples_print(&samples, what);
}

void bench_inflate(uint32_t messages)
{
    bench_balloon(true, "inflate", messages);
}

void bench_deflate(uint32_t messages)
{
    bench_balloon(false, "deflate", messages);
}

static volatile bool pong, over, halting;

static void on_ping(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
    if (smp_this() == 0)
        pong = true;
    else
        smp_send(smp_apic_id(0), VECTOR_PING);
}

// With interrupts off on entry and return.
static void wait_until(const volatile bool *flag)
{
    while (!*flag) {
        if (halting)
            wait_for_interrupt();
        else
            __asm__ volatile("sti; nop; nop; cli");
    }
}

static void answer(uint32_t cpu)
{
    (void)cpu;
    pong = true; // it listens
    wait_until(&over);
}

static void bench_round_trips(const char *what, bool halt, uint32_t count)
{
    struct samples samples = samples_begin();
    if (team_size() > 1) {
        trap_on(VECTOR_PING, on_ping);
        halting = halt;
        over = pong = false;
        team_begin(1, answer);
        while (!pong) pause();
        for (uint32_t i = 0; i < count; i++) {
            pong = false;
            uint64_t start = rdtsc();
            smp_send(smp_apic_id(1), VECTOR_PING);
            wait_until(&pong);
            sample(&samples, rdtsc() - start);
        }
        over = true;
        smp_send(smp_apic_id(1), VECTOR_TEAM);
        team_end(1);
    }
    samples_print(&samples, what);
}

void bench_ipi(uint32_t count)
{
    bench_round_trips("ipi", false, count);
}

void bench_ipi_halt(uint32_t count)
{
    bench_round_trips("ipi_halt", true, count);
}
