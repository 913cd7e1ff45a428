// SPDX-License-Identifier: MIT
#include "smp.h"

#include "ap.h"
#include "apic.h"
#include "clock.h"
#include "cpu.h"
#include "madt.h"
#include "memory.h"
#include "trap.h"

#define LEVEL_ASSERT     0x4000U
#define X2APIC_COMMAND   0x830U
#define APIC_DELIVERING  0x1000U
#define START_TIMEOUT_MS 10000U

extern const uint8_t ap_piece[], ap_piece_end[];
extern uint8_t ap_stacks[];
extern uint32_t ap_stack_top;
_Noreturn void ap_main(void);

uint32_t ap_stack_top;

static uint8_t ids[CPUS_MAX];
static uint32_t id_count;
static volatile uint32_t starting;
static volatile bool started;
static void (*volatile entry_point)(uint32_t cpu);

uint32_t smp_count(void)
{
    if (id_count == 0) id_count = madt_apic_ids(ids, CPUS_MAX, (uint8_t)(cpuid(1, 0).ebx >> 24));
    return id_count;
}

uint32_t smp_apic_id(uint32_t cpu)
{
    return ids[cpu];
}

uint32_t smp_this(void)
{
    uint32_t stack;
    __asm__("mov %%esp, %0" : "=r"(stack));
    uint32_t offset = stack - (uint32_t)ap_stacks;
    return offset < AP_STACKS * AP_STACK_BYTES ? offset / AP_STACK_BYTES + 1 : 0;
}

void smp_send(uint32_t destination, uint32_t low)
{
    low |= LEVEL_ASSERT;
    if (apic_is_x2apic()) {
        // What was written before must be seen by who gets this (SDM vol. 3, 11.12.3).
        __asm__ volatile("lock; addl $0, (%%esp)" ::: "memory", "cc");
        wrmsr(X2APIC_COMMAND, (uint64_t)destination << 32 | low);
        return;
    }
    apic_write(APIC_COMMAND_HIGH, destination << 24);
    apic_write(APIC_COMMAND_LOW, low);
    while (apic_read(APIC_COMMAND_LOW) & APIC_DELIVERING) pause();
}

void smp_delay(uint32_t us)
{
    uint64_t end = rdtsc() + clock_us_to_ticks(us);
    while (rdtsc() < end) pause();
}

_Noreturn void ap_main(void)
{
    uint32_t cpu = starting;
    trap_load();
    started = true;
    entry_point(cpu);
    for (;;) __asm__ volatile("cli; hlt");
}

bool smp_start(uint32_t cpu, void (*entry)(uint32_t cpu))
{
    memcpy((void *)AP_CODE, ap_piece, (size_t)(ap_piece_end - ap_piece));
    ap_stack_top = (uint32_t)ap_stacks + cpu * AP_STACK_BYTES;
    starting = cpu;
    started = false;
    entry_point = entry;
    smp_send(ids[cpu], IPI_INIT);
    smp_delay(1000);
    for (uint32_t tries = 0; tries < 2; tries++) {
        smp_send(ids[cpu], IPI_START | AP_CODE >> 12);
        smp_delay(200);
    }
    uint64_t give_up = rdtsc() + (uint64_t)clock_tsc_khz() * START_TIMEOUT_MS;
    while (!started && rdtsc() < give_up) pause();
    return started;
}
