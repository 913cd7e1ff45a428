// SPDX-License-Identifier: MIT
#include "fpu.h"

#include "attend.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "pattern.h"

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

struct area {
    uint8_t bytes[AREA_BYTES];
} __attribute__((aligned(64)));

static struct area wanted;
static struct area found;

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

static void fill(uint32_t at, uint32_t size_bytes, uint32_t seed)
{
    for (uint32_t i = 0; i < size_bytes; i++) wanted.bytes[at + i] = (uint8_t)mix(seed + at + i);
}

static void load(uint32_t parts)
{
    if (parts & XCR0_AVX)
        __asm__ volatile("xrstor %0" ::"m"(wanted), "a"(parts), "d"(0));
    else
        __asm__ volatile("fxrstor %0" ::"m"(wanted));
}

static void store(uint32_t parts)
{
    if (parts & XCR0_AVX)
        __asm__ volatile("xsave %0" : "+m"(found) : "a"(parts), "d"(0));
    else
        __asm__ volatile("fxsave %0" : "=m"(found));
}

static bool same(uint32_t at, uint32_t size_bytes)
{
    for (uint32_t i = 0; i < size_bytes; i++) {
        if (wanted.bytes[at + i] == found.bytes[at + i]) continue;
        say("mite: fpu FAIL offset=%u expected=0x%x got=0x%x\n", at + i, wanted.bytes[at + i],
            found.bytes[at + i]);
        return false;
    }
    return true;
}

bool fpu_hold(uint32_t seed, uint64_t us)
{
    uint32_t parts = fpu_enable();
    if (parts == 0) {
        say("mite: fpu none\n");
        return true;
    }
    wanted = (struct area){{0}};
    wanted.bytes[AREA_MXCSR] = 0x80; // 0x1F80: all exceptions masked
    wanted.bytes[AREA_MXCSR + 1] = 0x1F;
    wanted.bytes[AREA_HEADER] = (uint8_t)parts;
    for (uint32_t i = 0; i < REGISTERS; i++) fill(AREA_X87 + 16 * i, 10, seed);
    fill(AREA_SSE, 16 * REGISTERS, seed);
    fill(AREA_AVX_HIGH, 16 * REGISTERS, seed);

    uint64_t step = clock_us_to_ticks(2000);
    uint64_t end = rdtsc() + clock_us_to_ticks(us);
    uint32_t rounds = 0;
    load(parts);
    for (; rdtsc() < end; rounds++) {
        spin_until(rdtsc() + step);
        sleep_until(rdtsc() + step);
    }
    store(parts);

    bool good = same(AREA_SSE, 16 * REGISTERS);
    for (uint32_t i = 0; i < REGISTERS; i++) good = good && same(AREA_X87 + 16 * i, 10);
    if (parts & XCR0_AVX) good = good && same(AREA_AVX_HIGH, 16 * REGISTERS);
    if (good) say("mite: fpu ok state=%s rounds=%u\n", parts & XCR0_AVX ? "x87+sse+avx" : "x87+sse", rounds);
    return good;
}
