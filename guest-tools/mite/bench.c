// SPDX-License-Identifier: MIT
#include "bench.h"

#include "apic.h"
#include "balloon.h"
#include "console.h"
#include "cpu.h"
#include "pages.h"
#include "team.h"
#include "trap.h"

// Between two messages of bench_flush.
#define FLUSH_EVERY_US 20

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

static void samples_print(const struct samples *samples, const char *what, uint32_t vcpus)
{
    if (samples->count == 0) {
        say("mite: bench %s count=0\n", what);
        return;
    }
    say("mite: bench %s count=%u average=%llu minimum=%llu", what, samples->count,
        divide(samples->total_ticks, samples->count), samples->least_ticks);
    if (vcpus > 0) say(" vcpus=%u", vcpus);
    say("\n");
}

void bench_cpuid(uint32_t count)
{
    struct samples samples = samples_begin();
    for (uint32_t i = 0; i < count; i++) {
        uint64_t start = rdtsc();
        cpuid(0, 0);
        sample(&samples, rdtsc() - start);
    }
    samples_print(&samples, "cpuid", 0);
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
    samples_print(&samples, "first_touch", 0);
}

static void bench_held(uint32_t count, const char *what, bool write)
{
    struct samples samples = samples_begin();
    for (uint32_t page = 0; samples.count < count; page++) {
        page = pages_next(PAGE_HELD, page);
        if (page == PAGE_NONE) break;
        uint32_t address = page_address(page);
        uint32_t word = write ? mmio_read32(address) : 0;
        uint64_t start = rdtsc();
        if (write)
            mmio_write32(address, word);
        else
            (void)mmio_read32(address);
        sample(&samples, rdtsc() - start);
    }
    samples_print(&samples, what, 0);
}

void bench_read(uint32_t count)
{
    bench_held(count, "read", false);
}

void bench_write(uint32_t count)
{
    bench_held(count, "write", true);
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
    samples_print(&samples, "serial", 0);
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
    samples_print(&samples, what, 0);
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

// With interrupts off on entry and return. QEMU, when it runs all CPUs in turns, gives the turn to the next one at a PAUSE, and
// forgets there to end STI's shadow: the NOP does.
static void wait_until(const volatile bool *flag)
{
    while (!*flag) {
        if (halting)
            wait_for_interrupt();
        else
            __asm__ volatile("sti; nop; pause; cli");
    }
}

static void answer(uint32_t cpu)
{
    (void)cpu;
    pong = true; // it listens
    wait_until(&over);
}

// With interrupts on: else Bochs 2.7 is late to end the guest's turn for an interrupt of the host's.
static void burn(uint32_t cpu)
{
    (void)cpu;
    __asm__ volatile("sti");
    while (!over) pause();
    __asm__ volatile("cli");
}

static void bench_flush_beside(uint32_t others, uint32_t count)
{
    struct samples samples = samples_begin();
    uint64_t ticks;
    over = false;
    for (uint32_t cpu = 1; cpu <= others; cpu++) team_begin(cpu, burn);
    for (uint32_t i = 0; i < count; i++) {
        smp_delay(FLUSH_EVERY_US); // the others are in their loops again
        if (balloon_move(true, 1, &ticks) == 0) break;
        sample(&samples, ticks);
    }
    over = true;
    for (uint32_t cpu = 1; cpu <= others; cpu++) team_end(cpu);
    samples_print(&samples, "flush", others + 1);
}

void bench_flush(uint32_t count)
{
    for (uint32_t vcpus = 1; vcpus <= team_size(); vcpus *= 2) bench_flush_beside(vcpus - 1, count);
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
    samples_print(&samples, what, 0);
}

void bench_ipi(uint32_t count)
{
    bench_round_trips("ipi", false, count);
}

void bench_ipi_halt(uint32_t count)
{
    bench_round_trips("ipi_halt", true, count);
}
