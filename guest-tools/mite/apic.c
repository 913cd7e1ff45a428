// SPDX-License-Identifier: MIT
#include "apic.h"

#include "clock.h"
#include "cpu.h"
#include "trap.h"

#define BASE_ENABLE      (1U << 11)
#define BASE_X2APIC      (1U << 10)
#define X2APIC_MSR_FIRST 0x800U
#define SPURIOUS_ENABLE  (1U << 8)
#define LVT_MASKED       (1U << 16)
#define LVT_PERIODIC     (1U << 17)
#define LVT_TSC_DEADLINE (1U << 18)
#define DIVIDE_BY_1      0xBU

// Long waits are cut into pieces: the count register has 32 bits.
#define LONGEST_WAIT_MS 1000U

static bool x2apic;
static bool has_tsc_deadline;

bool apic_is_x2apic(void)
{
    return x2apic;
}

uint32_t apic_read(uint32_t offset)
{
    if (x2apic) return (uint32_t)rdmsr(X2APIC_MSR_FIRST + (offset >> 4));
    return mmio_read32(APIC_BASE + offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
    if (x2apic)
        wrmsr(X2APIC_MSR_FIRST + (offset >> 4), value);
    else
        mmio_write32(APIC_BASE + offset, value);
}

static void on_timer(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

void apic_enable(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | BASE_ENABLE;
    wrmsr(MSR_APIC_BASE, x2apic ? base | BASE_X2APIC : base);
    apic_write(APIC_TASK_PRIORITY, 0);
    apic_write(APIC_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
    apic_timer_stop();
}

void apic_init(bool want_x2apic)
{
    outb(0xFF, 0x21);
    outb(0xFF, 0xA1);
    uint32_t features = cpuid(1, 0).ecx;
    x2apic = (rdmsr(MSR_APIC_BASE) & BASE_X2APIC) != 0 || (want_x2apic && (features & (1U << 21)));
    has_tsc_deadline = (features & (1U << 24)) != 0;
    trap_on(VECTOR_TIMER, on_timer);
    apic_enable();
}

static void start(uint32_t mode, uint32_t count)
{
    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, mode | VECTOR_TIMER);
    apic_write(APIC_TIMER_INITIAL, count);
}

void apic_timer_start(uint32_t count)
{
    start(0, count);
}

void apic_timer_start_periodic(uint32_t count)
{
    start(LVT_PERIODIC, count);
}

uint32_t apic_timer_left(void)
{
    return apic_read(APIC_TIMER_CURRENT);
}

void apic_timer_stop(void)
{
    apic_write(APIC_LVT_TIMER, LVT_MASKED | VECTOR_TIMER);
    apic_write(APIC_TIMER_INITIAL, 0);
}

void apic_timer_wake_at(uint64_t deadline, enum timer_mode mode)
{
    uint64_t now = rdtsc();
    uint64_t longest = (uint64_t)clock_tsc_khz() * LONGEST_WAIT_MS;
    uint64_t wait = deadline > now ? deadline - now : 0;
    if (wait > longest) wait = longest;
    if (mode == TIMER_DEADLINE && has_tsc_deadline) {
        apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_TIMER);
        // SDM vol. 3, 11.5.4.1: the write to the memory-mapped LVT must be done before the WRMSR.
        __asm__ volatile("lock; addl $0, (%%esp)" ::: "memory", "cc");
        wrmsr(MSR_TSC_DEADLINE, now + wait + 1);
        return;
    }
    // In microseconds, because the product of both frequencies and a wait would not fit.
    uint64_t count = divide(clock_ticks_to_us(wait) * clock_apic_khz(), 1000);
    if (count == 0) count = 1;
    // A slow machine would do nothing but take the interrupts of a shorter period.
    if (mode == TIMER_PERIODIC && count < clock_apic_khz() / 4) count = clock_apic_khz() / 4;
    start(mode == TIMER_PERIODIC ? LVT_PERIODIC : 0, count > UINT32_MAX ? UINT32_MAX : (uint32_t)count);
}
