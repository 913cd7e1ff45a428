/* SPDX-License-Identifier: MIT
 *
 * Instructions that may fault and say so.
 */
#include "x86/cpu.h"

bool rdmsr_safe(uint32_t msr, uint64_t *value)
{
    uint32_t lo = 0, hi = 0;
    bool ok = false;

    __asm__ volatile("1: rdmsr\n movb $1, %2\n 2:\n" FIXUP(1b, 2b) : "+a"(lo), "+d"(hi), "+r"(ok) : "c"(msr));
    *value = ok ? (lo | (uint64_t)hi << 32) : 0;
    return ok;
}

bool wrmsr_safe(uint32_t msr, uint64_t value)
{
    bool ok = false;

    __asm__ volatile("1: wrmsr\n movb $1, %0\n 2:\n" FIXUP(1b, 2b)
                     : "+r"(ok)
                     : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok;
}

bool xsetbv_safe(uint64_t value)
{
    bool ok = false;

    __asm__ volatile("1: xsetbv\n movb $1, %0\n 2:\n" FIXUP(1b, 2b)
                     : "+r"(ok)
                     : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
                     : "memory");
    return ok;
}

bool read_word_safe(const uint64_t *from, uint64_t *value)
{
    uint64_t word = 0;
    bool ok = false;

    __asm__ volatile("1: mov %2, %0\n movb $1, %1\n 2:\n" FIXUP(1b, 2b) : "+r"(word), "+r"(ok) : "m"(*from));
    *value = word;
    return ok;
}
