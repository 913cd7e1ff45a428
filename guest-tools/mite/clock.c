// SPDX-License-Identifier: MIT
#include "clock.h"

#include <stdbool.h>

#include "apic.h"
#include "cpu.h"

#define PIT_HZ     1193182U
#define MEASURE_MS 10U

static uint32_t tsc_khz;
static uint32_t apic_khz;
static const char *source;

// Read-back: latch the status of channel 0 (8254 data sheet). Its top bit is the output pin; below
// are "count not yet loaded", then access, mode and BCD as they were programmed.
static uint8_t pit_status(void)
{
    outb(0xE2, 0x43);
    return inb(0x40);
}

// Runs PIT channel 0 once through `count` of its ticks; its interrupt is masked. Not channel 2:
// some platforms have a PIT but not its gate at port 0x61. False if there is no PIT, or it stands.
static bool pit_wait(uint16_t count)
{
    outb(0x30, 0x43); // low then high byte, mode 0
    if ((pit_status() & 0x3F) != 0x30) return false;
    outb((uint8_t)count, 0x40);
    outb((uint8_t)(count >> 8), 0x40);
    if (pit_status() & 0x80) return false;
    for (uint32_t tries = 0; tries < 20000000; tries++)
        if (pit_status() & 0x80) return true;
    return false;
}

static bool ask_hypervisor(void)
{
    if (!(cpuid(1, 0).ecx & (1U << 31))) return false;
    uint32_t highest = cpuid(CPUID_HYPERVISOR, 0).eax;
    if (highest < CPUID_TIMING || highest > 0x4000FFFFU) return false;
    struct cpuid timing = cpuid(CPUID_TIMING, 0);
    if (timing.eax == 0 || timing.ebx == 0) return false;
    tsc_khz = timing.eax;
    apic_khz = timing.ebx;
    return true;
}

static bool measure(void)
{
    apic_timer_start(UINT32_MAX);
    uint64_t start = rdtsc();
    bool ended = pit_wait(PIT_HZ * MEASURE_MS / 1000);
    uint64_t ticks = rdtsc() - start;
    uint32_t apic_ticks = UINT32_MAX - apic_timer_left();
    apic_timer_stop();
    if (!ended) return false;
    tsc_khz = (uint32_t)divide(ticks, MEASURE_MS);
    apic_khz = apic_ticks / MEASURE_MS;
    return tsc_khz != 0 && apic_khz != 0;
}

void clock_init(void)
{
    if (ask_hypervisor()) {
        source = "cpuid";
        return;
    }
    if (measure()) {
        source = "pit";
        return;
    }
    tsc_khz = 1000000;
    apic_khz = 1000000;
    source = "guess";
}

uint32_t clock_tsc_khz(void)
{
    return tsc_khz;
}

uint32_t clock_apic_khz(void)
{
    return apic_khz;
}

const char *clock_source(void)
{
    return source;
}

uint64_t clock_us_to_ticks(uint64_t us)
{
    uint64_t ms = divide(us, 1000);
    uint64_t rest_us = us - ms * 1000;
    if (ms > (UINT64_MAX >> 32) - 1) return UINT64_MAX;
    return ms * tsc_khz + divide(rest_us * tsc_khz, 1000);
}

uint64_t clock_ticks_to_us(uint64_t ticks)
{
    uint64_t ms = divide(ticks, tsc_khz);
    uint64_t rest_ticks = ticks - ms * tsc_khz;
    return ms * 1000 + divide(rest_ticks * 1000, tsc_khz);
}
