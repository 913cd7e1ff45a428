/* SPDX-License-Identifier: MIT
 *
 * Instructions that C has no word for. MSR numbers and register bits: x86/msr.h.
 */
#ifndef TITHE_X86_CPU_H
#define TITHE_X86_CPU_H

#include "tithe/types.h"

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

/* ---- MSRs. The plain ones panic on #GP; the safe ones return false (a read then gives 0). ---- */

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;
    __asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return lo | (uint64_t)hi << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

MUST_CHECK bool rdmsr_safe(uint32_t msr, uint64_t *value);
MUST_CHECK bool wrmsr_safe(uint32_t msr, uint64_t value);
/* XSETBV of XCR0. */
MUST_CHECK bool xsetbv_safe(uint64_t value);

/* A word at an address that may not be mapped: for backtraces. */
MUST_CHECK bool read_word_safe(const uint64_t *from, uint64_t *value);

/* An instruction of yours that may fault in ring 0: `FIXUP(from_label, to_label)` inside an asm statement
 * makes any exception at from_label continue at to_label (x86/traps.c). */
#define FIXUP(from, to) ".pushsection .fixup, \"a\"\n .quad " #from ", " #to "\n .popsection\n"

static inline uint64_t xgetbv(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo | (uint64_t)hi << 32;
}

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
    return lo | (uint64_t)hi << 32;
}

/* ---- control and debug registers: read_cr0(), write_cr0(value) and so on ---- */

#define REGISTER(name)                                                                                       \
    static inline uint64_t read_##name(void)                                                                 \
    {                                                                                                        \
        uint64_t value;                                                                                      \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value) : : "memory");                                  \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void write_##name(uint64_t value)                                                          \
    {                                                                                                        \
        __asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                                      \
    }
REGISTER(cr0)
REGISTER(cr2)
REGISTER(cr3)
REGISTER(cr4)
REGISTER(cr8)
REGISTER(dr0)
REGISTER(dr1)
REGISTER(dr2)
REGISTER(dr3)
REGISTER(dr6)
REGISTER(dr7)
#undef REGISTER

/* ---- ports ---- */

#define PORT(suffix, type)                                                                                   \
    static inline type in##suffix(uint16_t port)                                                             \
    {                                                                                                        \
        type value;                                                                                          \
        __asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port) : "memory");                      \
        return value;                                                                                        \
    }                                                                                                        \
    static inline void out##suffix(uint16_t port, type value)                                                \
    {                                                                                                        \
        __asm__ volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port) : "memory");                     \
    }
PORT(b, uint8_t)
PORT(w, uint16_t)
PORT(l, uint32_t)
#undef PORT

static inline void invlpg(const void *virt)
{
    __asm__ volatile("invlpg (%0)" : : "r"(virt) : "memory");
}
static inline void cpu_pause(void)
{
    __asm__ volatile("pause" : : : "memory");
}
static inline void barrier(void)
{
    __asm__ volatile("" : : : "memory");
}

/* Sleeps with interrupts on until the next one, which has been handled (irq_dispatch) when this returns with
 * interrupts off again. What the caller checked before with interrupts off cannot be missed: a kick (smp_kick) that comes
 * after the check waits in the local APIC, for STI lets interrupts in only behind the instruction that follows it (SDM 2B
 * STI), which is HLT; and so the halt ends at once. */
static inline void cpu_idle(void)
{
    __asm__ volatile("sti; hlt; cli" : : : "memory");
}
/* Lets interrupts that wait in. */
static inline void cpu_take_interrupts(void)
{
    __asm__ volatile("sti; nop; cli" : : : "memory");
}
/* Stops this CPU for ever. */
_Noreturn static inline void cpu_halt(void)
{
    for (;;) __asm__ volatile("cli; hlt" : : : "memory");
}

#endif
