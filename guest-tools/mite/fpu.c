// SPDX-License-Identifier: MIT
#include "fpu.h"

#include "attend.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "memory.h"
#include "pages.h"
#include "pattern.h"
#include "team.h"

#define CR0_EMULATE       (1U << 2)
#define CR0_TASK_SWITCHED (1U << 3)
#define CR4_FXSR          (1U << 9)
#define CR4_XSAVE         (1U << 18)

#define FEATURE_FXSR  (1U << 24) // CPUID 1 EDX
#define FEATURE_XSAVE (1U << 26) // CPUID 1 ECX
#define XCR0_X87_SSE  3U
#define XCR0_AVX      4U

// The XSAVE area as 32-bit code sees it (Intel SDM vol. 1, 13.4): eight registers of each kind.
#define AREA_MXCSR    24
#define AREA_X87      32
#define AREA_SSE      160
#define AREA_HEADER   512
#define AREA_AVX_HIGH 576
#define AREA_BYTES    832
#define REGISTERS     8

#define PAGES_A_ROUND 64U

struct area {
    uint8_t bytes[AREA_BYTES];
} __attribute__((aligned(64)));

static struct area wanted[CPUS_MAX];
static struct area found[CPUS_MAX];
static uint32_t first_seed, parts_held, round_count;
static uint64_t end_ticks;

uint32_t fpu_enable(void)
{
    struct cpuid features = cpuid(1, 0);
    if (!(features.edx & FEATURE_FXSR)) return 0;
    uint32_t cr;
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr));
    cr &= ~(CR0_EMULATE | CR0_TASK_SWITCHED);
    __asm__ volatile("mov %0, %%cr0" ::"r"(cr));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr));
    cr |= CR4_FXSR | (features.ecx & FEATURE_XSAVE ? CR4_XSAVE : 0);
    __asm__ volatile("mov %0, %%cr4" ::"r"(cr));
    if (!(features.ecx & FEATURE_XSAVE)) return XCR0_X87_SSE;
    uint32_t parts = cpuid(0xD, 0).eax & (XCR0_X87_SSE | XCR0_AVX);
    __asm__ volatile("xsetbv" ::"a"(parts), "d"(0), "c"(0));
    return parts;
}

static void fill(struct area *area, uint32_t at, uint32_t size_bytes, uint32_t seed)
{
    for (uint32_t i = 0; i < size_bytes; i++) area->bytes[at + i] = (uint8_t)mix(seed + at + i);
}

static void load(uint32_t parts, const struct area *area)
{
    if (parts & XCR0_AVX)
        __asm__ volatile("xrstor %0" ::"m"(*area), "a"(parts), "d"(0));
    else
        __asm__ volatile("fxrstor %0" ::"m"(*area));
}

static void store(uint32_t parts, struct area *area)
{
    if (parts & XCR0_AVX)
        __asm__ volatile("xsave %0" : "+m"(*area) : "a"(parts), "d"(0));
    else
        __asm__ volatile("fxsave %0" : "=m"(*area));
}

static bool same(uint32_t cpu, uint32_t at, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < size_bytes; i++) {
        uint8_t expected = wanted[cpu].bytes[at + i], got = found[cpu].bytes[at + i];
        if (expected == got) continue;
        say("mite: fpu FAIL cpu=%u offset=%u expected=0x%x got=0x%x\n", cpu, at + i, expected, got);
        return false;
    }
    return true;
}

// Every vCPU holds content of its own.
static void hold(uint32_t cpu)
{
    uint32_t parts = fpu_enable(), seed = mix(first_seed + cpu);
    struct area *area = &wanted[cpu];
    *area = (struct area){{0}};
    area->bytes[AREA_MXCSR] = 0x80; // 0x1F80: all exceptions masked
    area->bytes[AREA_MXCSR + 1] = 0x1F;
    area->bytes[AREA_HEADER] = (uint8_t)parts;
    for (uint32_t i = 0; i < REGISTERS; i++) fill(area, AREA_X87 + 16 * i, 10, seed);
    fill(area, AREA_SSE, 16 * REGISTERS, seed);
    fill(area, AREA_AVX_HIGH, 16 * REGISTERS, seed);

    uint64_t step = clock_us_to_ticks(2000);
    uint32_t rounds = 0, page = 0;
    load(parts, area);
    for (; rdtsc() < end_ticks; rounds++) {
        // What the host does to have a page there again must not be seen in the registers.
        for (uint32_t i = 0; i < PAGES_A_ROUND; i++, page++) {
            page = pages_next(PAGE_HELD, page);
            if (page == PAGE_NONE) {
                page = 0;
                break;
            }
            (void)mmio_read32(page_address(page));
        }
        spin_until(rdtsc() + step);
        sleep_until(rdtsc() + step);
    }
    store(parts, &found[cpu]);
    if (cpu == 0) {
        parts_held = parts;
        round_count = rounds;
    }
}

bool fpu_hold(uint32_t seed, uint64_t us)
{
    if (fpu_enable() == 0) {
        say("mite: fpu none\n");
        return true;
    }
    first_seed = seed;
    end_ticks = rdtsc() + clock_us_to_ticks(us);
    team_do(hold);
    bool good = true;
    for (uint32_t cpu = 0; cpu < team_size(); cpu++) {
        good = good && same(cpu, AREA_SSE, 16 * REGISTERS);
        for (uint32_t i = 0; i < REGISTERS; i++) good = good && same(cpu, AREA_X87 + 16 * i, 10);
        if (parts_held & XCR0_AVX) good = good && same(cpu, AREA_AVX_HIGH, 16 * REGISTERS);
    }
    if (good)
        say("mite: fpu ok state=%s rounds=%u\n", parts_held & XCR0_AVX ? "x87+sse+avx" : "x87+sse",
            round_count);
    return good;
}
