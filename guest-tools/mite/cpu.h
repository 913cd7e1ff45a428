// SPDX-License-Identifier: MIT
// One inline function per privileged or odd instruction that C cannot say.
#ifndef MITE_CPU_H
#define MITE_CPU_H

#include <stdint.h>

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline uint64_t rdtsc(void)
{
    uint64_t ticks;
    __asm__ volatile("rdtsc" : "=A"(ticks)::"memory");
    return ticks;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint64_t value;
    __asm__ volatile("rdmsr" : "=A"(value) : "c"(msr));
    return value;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
    __asm__ volatile("wrmsr" ::"A"(value), "c"(msr) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void outb(uint8_t value, uint16_t port)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outw(uint16_t value, uint16_t port)
{
    __asm__ volatile("outw %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint32_t value, uint16_t port)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port) : "memory");
}

static inline uint32_t mmio_read32(uint32_t address)
{
    uint32_t value;
    __asm__ volatile("movl %1, %0" : "=r"(value) : "m"(*(volatile uint32_t *)address));
    return value;
}

static inline void mmio_write32(uint32_t address, uint32_t value)
{
    __asm__ volatile("movl %1, %0" : "=m"(*(volatile uint32_t *)address) : "r"(value) : "memory");
}

// STI takes effect after the next instruction, so no interrupt falls between the two and is slept
// through. Interrupts are off again on return.
static inline void wait_for_interrupt(void)
{
    __asm__ volatile("sti; hlt; cli" ::: "memory");
}

static inline void pause(void)
{
    __asm__ volatile("pause" ::: "memory");
}

static inline void compiler_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

// Quotient rounded down, saturated at 64 bits; the compiler's own 64-bit division would need
// libgcc. `divisor` must not be 0.
static inline uint64_t divide(uint64_t dividend, uint32_t divisor)
{
    uint32_t high = (uint32_t)(dividend >> 32);
    uint32_t low = (uint32_t)dividend;
    uint32_t quotient_high = high / divisor;
    uint32_t rest = high % divisor;
    uint32_t quotient_low;
    __asm__("divl %4" : "=a"(quotient_low), "=d"(rest) : "0"(low), "1"(rest), "r"(divisor) : "cc");
    return ((uint64_t)quotient_high << 32) | quotient_low;
}

#endif
