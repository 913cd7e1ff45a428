// SPDX-License-Identifier: MIT
// Tests of a machine with several vCPUs, one line each, in xAPIC and then x2APIC mode; or, with act=NAME at the end of the
// command line, one thing that hurts.
#include "smp_tests.h"

#include "apic.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "multiboot.h"
#include "text.h"
#include "trap.h"

#define PATIENCE_MS 15000U

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info);

volatile uint32_t test_count[CPUS_MAX], nmi_count[CPUS_MAX], device_count[CPUS_MAX], start_count[CPUS_MAX];
volatile bool start_good[CPUS_MAX], quiet;

static void (*volatile work_of[CPUS_MAX])(uint32_t cpu);
static volatile uint32_t work_done[CPUS_MAX], work_begun[CPUS_MAX];
static volatile bool impatient;
static bool good = true;

uint32_t everybody(void)
{
    return (1U << smp_count()) - 1;
}

void report(const char *what, bool ok)
{
    say("smp: %s%s %s\n", apic_is_x2apic() ? "x2apic " : "", what, ok ? "ok" : "FAIL");
    good = good && ok;
}

_Noreturn void give_up(const char *what)
{
    report(what, false);
    for (uint32_t i = 0; i < smp_count(); i++)
        say("smp: cpu=%u tests=%u nmis=%u begun=%u done=%u\n", i, test_count[i], nmi_count[i], work_begun[i],
            work_done[i]);
    say("smp: FAIL\n");
    machine_exit(1);
}

static void tell(uint32_t cpu)
{
    if (cpu != 0) smp_send(smp_apic_id(0), VECTOR_WAKE);
}

static void count(volatile uint32_t *counts)
{
    uint32_t cpu = smp_this();
    counts[cpu]++;
    if (!quiet) tell(cpu);
}

static void on_wake(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
}

static void on_test(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
    count(test_count);
}

static void on_device(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
    count(device_count);
}

static void on_nmi(void)
{
    count(nmi_count);
}

static void on_impatience(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
    impatient = true;
}

void counts_clear(void)
{
    for (uint32_t i = 0; i < CPUS_MAX; i++) test_count[i] = nmi_count[i] = device_count[i] = 0;
}

void sleep_till(const volatile uint32_t *at, uint32_t value, const char *what)
{
    if (*at >= value) return;
    impatient = false;
    uint64_t ms = PATIENCE_MS;
    apic_write(APIC_LVT_TIMER, VECTOR_PATIENCE);
    apic_write(APIC_TIMER_DIVIDE, 0xA); // by 128, for the count has 32 bits
    apic_write(APIC_TIMER_INITIAL, (uint32_t)((ms * clock_apic_khz()) >> 7));
    while (*at < value && !impatient) wait_for_interrupt();
    apic_timer_stop();
    if (*at < value) give_up(what);
}

static bool looks_right(uint32_t cpu)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint32_t id = smp_apic_id(cpu);
    bool right = (base >> 8 & 1) == 0 && cpuid(1, 0).ebx >> 24 == id;
    if (cpuid(0, 0).eax >= 0xB) right = right && cpuid(0xB, 0).edx == id && cpuid(0xB, 1).edx == id;
    if ((base >> 10 & 1) != apic_is_x2apic())
        return right; // the registers are not to be had by this mode's door
    right = right && apic_read(APIC_ID) >> (apic_is_x2apic() ? 0 : 24) == id;
    for (uint32_t lvt = APIC_LVT_TIMER; lvt <= 0x370; lvt += 0x10) right = right && apic_read(lvt) == 0x10000;
    for (uint32_t held = 0x100; held < 0x280; held += 0x10)
        right = right && apic_read(held) == 0; // ISR, TMR, IRR
    return right && apic_read(APIC_SPURIOUS) == 0xFF && apic_read(APIC_TASK_PRIORITY) == 0 &&
           apic_read(APIC_TIMER_INITIAL) == 0;
}

void set_flat_id(uint32_t cpu)
{
    if (apic_is_x2apic()) return;
    apic_write(APIC_DESTINATION_FORMAT, 0xFFFFFFFF);
    apic_write(APIC_LOGICAL_DESTINATION, 1U << (24 + cpu));
}

static void serve(uint32_t cpu)
{
    start_good[cpu] = looks_right(cpu);
    apic_enable();
    set_flat_id(cpu);
    start_count[cpu]++;
    for (;;) {
        while (work_begun[cpu] == work_done[cpu]) wait_for_interrupt();
        work_of[cpu](cpu);
        work_done[cpu]++;
        tell(cpu);
    }
}

bool restart(uint32_t cpu)
{
    uint32_t before = start_count[cpu];
    work_done[cpu] = work_begun[cpu];
    if (!smp_start(cpu, serve)) return false;
    while (start_count[cpu] == before) pause();
    return true;
}

void begin_on(uint32_t cpu, void (*work)(uint32_t cpu))
{
    work_of[cpu] = work;
    work_begun[cpu]++;
    smp_send(smp_apic_id(cpu), VECTOR_WAKE);
}

void end_on(uint32_t cpu)
{
    sleep_till(&work_done[cpu], work_begun[cpu], "work on another vCPU");
}

void all_do(void (*work)(uint32_t cpu))
{
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++) begin_on(cpu, work);
    work(0);
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++) end_on(cpu);
}

static void start_everybody(void)
{
    bool ok = true;
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++) ok = restart(cpu) && ok;
    if (!ok) give_up("start");
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++) ok = start_good[cpu] && ok;
    report("start", ok);
}

static void all_tests(void)
{
    start_everybody();
    tests_ipi();
    tests_init();
    tests_wake();
    tests_time();
    tests_ioapic();
}

// The rest of the command line after "act="; empty without.
static struct span act_of(const struct multiboot_info *info)
{
    struct span line = {0};
    if (info->flags & MULTIBOOT_HAS_COMMAND_LINE) line = span_of((const char *)info->command_line);
    while (line.length > 0 && !span_starts(line, "act=")) line = span_skip(line, 1);
    return line.length > 0 ? span_skip(line, 4) : line;
}

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info)
{
    console_init();
    trap_init();
    apic_init(false);
    clock_init();
    trap_on(VECTOR_WAKE, on_wake);
    trap_on(VECTOR_TEST, on_test);
    trap_on(VECTOR_DEVICE, on_device);
    trap_on(VECTOR_NMI, on_nmi);
    trap_on(VECTOR_PATIENCE, on_impatience);
    set_flat_id(0);
    say("smp: start magic=0x%x cpus=%u tsc_khz=%u\n", magic, smp_count(), clock_tsc_khz());
    struct span act = act_of(info);
    if (act.length > 0) {
        start_everybody();
        if (!hostile(act)) give_up("no such act");
        report("act", good);
    } else {
        all_tests();
        if (cpuid(1, 0).ecx & 1U << 21) {
            // Nobody is to end an interrupt of the old mode in the new one's way.
            for (uint32_t cpu = 1; cpu < smp_count(); cpu++) smp_send(smp_apic_id(cpu), IPI_INIT);
            smp_delay(1000);
            apic_init(true);
            all_tests();
        }
    }
    say("smp: %s\n", good ? "PASS" : "FAIL");
    machine_exit(good ? 0 : 1);
}
