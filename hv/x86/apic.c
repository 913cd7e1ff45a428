/* SPDX-License-Identifier: MIT */
#include "lib/log.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/host_map.h"
#include "x86/irq.h"
#include "x86/msr.h"
#include "x86/percpu.h"

/* Register numbers: offset >> 4, which is also the x2APIC MSR less 0x800 (SDM 3A table 11-1 and 11-6). */
enum apic_register {
    APIC_ID = 0x02,
    APIC_TPR = 0x08,
    APIC_EOI = 0x0b,
    APIC_SVR = 0x0f,
    APIC_ESR = 0x28,
    APIC_ICR = 0x30,
    APIC_ICR_HIGH = 0x31, /* xAPIC only */
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PERF = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_TIMER_INITIAL = 0x38,
    APIC_TIMER_CURRENT = 0x39,
    APIC_TIMER_DIVIDE = 0x3e,
};

#define SVR_ENABLE         0x100u
#define LVT_MASKED         0x10000u
#define LVT_NMI            0x400u
#define LVT_TIMER_DEADLINE 0x40000u
#define ICR_NMI            0x400u
#define ICR_INIT           0x500u
#define ICR_STARTUP        0x600u
#define ICR_PENDING        0x1000u
#define ICR_ASSERT         0x4000u
#define XAPIC_BROADCAST    0xffu
#define TIMER_DIVIDE_BY_1  0xbu

static bool x2apic;
static volatile uint32_t *mmio;

static uint32_t apic_read(enum apic_register r)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + r) : mmio[(unsigned)r * 4];
}

static void apic_write(enum apic_register r, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC + r, value);
    else
        mmio[(unsigned)r * 4] = value;
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);

    return x2apic ? id : id >> 24;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

bool apic_reaches(uint32_t dest)
{
    return x2apic || dest < XAPIC_BROADCAST;
}

static void send(uint32_t dest, uint32_t command)
{
    if (x2apic) {
        /* MFENCE; LFENCE: an x2APIC ICR write is not serialising (SDM 3A 11.12.3). */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)dest << 32 | command);
        return;
    }
    while (apic_read(APIC_ICR) & ICR_PENDING) cpu_pause();
    apic_write(APIC_ICR_HIGH, dest << 24);
    apic_write(APIC_ICR, command);
}

void apic_send(uint32_t dest, uint8_t vector)
{
    send(dest, vector);
}
void apic_send_nmi(uint32_t dest)
{
    send(dest, ICR_NMI);
}
void apic_send_init(uint32_t dest)
{
    send(dest, ICR_INIT | ICR_ASSERT);
}
void apic_send_startup(uint32_t dest, uint8_t page)
{
    send(dest, ICR_STARTUP | page);
}

void apic_timer_oneshot(uint32_t count)
{
    apic_write(APIC_TIMER_INITIAL, count);
}
uint32_t apic_timer_remaining(void)
{
    return apic_read(APIC_TIMER_CURRENT);
}

void apic_timer_mode_deadline(void)
{
    apic_write(APIC_LVT_TIMER, LVT_TIMER_DEADLINE | IRQ_VECTOR_TIMER);
    /* The mode must be in place before the first deadline (SDM 3A 11.5.4.1). */
    __asm__ volatile("mfence" : : : "memory");
}

static void on_error(void)
{
    apic_write(APIC_ESR, 0);
    log_line("tithe: local APIC error 0x%x on CPU %u", apic_read(APIC_ESR), this_cpu()->index);
}

void apic_init(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (this_cpu()->index == 0) {
        x2apic = (cpuid(1, 0).ecx & 1u << 21) != 0;
        irq_register(IRQ_VECTOR_ERROR, on_error);
    }
    if (!x2apic && mmio == NULL) {
        mmio = host_map_device(base & APIC_BASE_ADDRESS, PAGE_BYTES);
        if (mmio == NULL) panic("the local APIC at 0x%llx cannot be mapped", base & APIC_BASE_ADDRESS);
    }
    /* Through xAPIC mode: x2APIC cannot be entered from "off" (SDM 3A 11.12.5). */
    wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE);
    if (x2apic) wrmsr(MSR_APIC_BASE, base | APIC_BASE_ENABLE | APIC_BASE_X2APIC);

    apic_write(APIC_SVR, SVR_ENABLE | IRQ_VECTOR_SPURIOUS);
    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_THERMAL, LVT_MASKED);
    apic_write(APIC_LVT_PERF, LVT_MASKED);
    apic_write(APIC_LVT_LINT0, LVT_MASKED); /* the legacy controllers */
    apic_write(APIC_LVT_LINT1, LVT_NMI);
    apic_write(APIC_LVT_ERROR, IRQ_VECTOR_ERROR);
    apic_write(APIC_ESR, 0);
    apic_write(APIC_TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, IRQ_VECTOR_TIMER); /* one-shot */
    apic_write(APIC_TIMER_INITIAL, 0);
    this_cpu()->apic_id = apic_id();
}
