/* SPDX-License-Identifier: MIT
 *
 * Calibration and conversion. The clock to measure against is the PIT's channel 2 (8254 data sheet) or,
 * without one, the ACPI PM timer. What CPUID says of frequencies is believed only where the measurement
 * agrees: emulators copy leaves of real CPUs.
 */
#include "lib/log.h"
#include "x86/acpi.h"
#include "x86/apic.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/irq.h"
#include "x86/percpu.h"
#include "x86/rtc.h"
#include "x86/time.h"

#define NS_PER_S 1000000000ull

#define PIT_HZ       1193182ull
#define PIT_CHANNEL2 0x42
#define PIT_COMMAND  0x43
#define PIT_GATE     0x61 /* bit 0: gate of channel 2, bit 1: speaker, bit 5: its output */
#define PM_TIMER_HZ  3579545ull

#define TRIES      5u
#define AGREEMENT  20000u   /* within 50 ppm */
#define SPAN_TICKS 29830ull /* of the PIT: 25 ms */

struct scale {
    uint64_t mul;
    uint32_t shift;
};

extern uint64_t tsc_entry; /* boot/start.S */

static uint64_t hz, apic_hz;
static struct scale to_ns, to_tsc, ns_to_apic;
static bool deadline_mode;
static uint64_t wall_at_boot_ns;

/* (a << 64) / b, where a < b. */
static uint64_t divide_shifted(uint64_t a, uint64_t b)
{
    uint64_t quotient, rest;

    __asm__("divq %4" : "=a"(quotient), "=d"(rest) : "0"(0ull), "1"(a), "r"(b));
    return quotient;
}

/* mul / 2^shift == to / from, as near as 64 bits get; rounded down. */
static struct scale make_scale(uint64_t from, uint64_t to)
{
    uint32_t shift = 64;

    while (to >= from) {
        /* from < 2^40 in all uses, so this ends before anything is lost. */
        from <<= 1;
        shift--;
    }
    return (struct scale){.mul = divide_shifted(to, from), .shift = shift};
}

static uint64_t apply(struct scale s, uint64_t value)
{
    unsigned __int128 product = (unsigned __int128)value * s.mul;

    return s.shift == 64 ? (uint64_t)(product >> 64) : (uint64_t)(product >> s.shift);
}

uint64_t tsc_hz(void)
{
    return hz;
}
uint64_t tsc_at_boot(void)
{
    return tsc_entry;
}
uint64_t tsc_to_ns(uint64_t ticks)
{
    return apply(to_ns, ticks);
}
uint64_t ns_to_tsc(uint64_t ns)
{
    return apply(to_tsc, ns);
}
uint64_t time_now_ns(void)
{
    return apply(to_ns, rdtsc() - tsc_entry);
}
uint64_t tsc_at(uint64_t now_ns)
{
    return tsc_entry + ns_to_tsc(now_ns);
}
uint64_t wall_ns_at_boot(void)
{
    return wall_at_boot_ns;
}

void time_delay_ns(uint64_t ns)
{
    uint64_t start = rdtsc(), ticks = ns_to_tsc(ns);

    while (rdtsc() - start < ticks) cpu_pause();
}

/* One measurement: ticks of TSC and local APIC timer in `span_ns`. */
struct sample {
    uint64_t tsc, apic, span_ns;
};

static struct sample sample_begin(uint64_t span_ns)
{
    apic_timer_oneshot(UINT32_MAX);
    return (struct sample){.tsc = rdtsc(), .span_ns = span_ns};
}

static void sample_end(struct sample *s)
{
    s->apic = UINT32_MAX - apic_timer_remaining();
    s->tsc = rdtsc() - s->tsc;
}

static bool sample_pit(struct sample *out)
{
    uint8_t gate = inb(PIT_GATE) & 0xfc;

    outb(PIT_GATE, gate);
    outb(PIT_COMMAND, 0xb0); /* channel 2, both bytes, mode 0: output rises at the end */
    outb(PIT_CHANNEL2, (uint8_t)SPAN_TICKS);
    outb(PIT_CHANNEL2, (uint8_t)(SPAN_TICKS >> 8));
    outb(PIT_GATE, gate | 1);
    struct sample s = sample_begin(SPAN_TICKS * NS_PER_S / PIT_HZ);
    for (uint32_t turns = 0; !(inb(PIT_GATE) & 0x20); turns++)
        if (turns == 10000000) return false;
    sample_end(&s);
    outb(PIT_GATE, gate);
    *out = s;
    return s.tsc != 0;
}

static bool sample_pm_timer(struct sample *out)
{
    uint64_t ticks = SPAN_TICKS * 3; /* exactly three times as fast */
    uint32_t mask = acpi_info.pm_timer_32 ? UINT32_MAX : 0xffffff, now = 0, start;

    if (acpi_info.pm_timer_port == 0) return false;
    start = inl(acpi_info.pm_timer_port);
    struct sample s = sample_begin(ticks * NS_PER_S / PM_TIMER_HZ);
    for (uint32_t turns = 0; now < ticks; turns++) {
        now = (inl(acpi_info.pm_timer_port) - start) & mask;
        if (turns == 10000000) return false;
    }
    sample_end(&s);
    *out = s;
    return s.tsc != 0;
}

/* The shortest of several tries, for whatever disturbs makes one longer; two that agree are enough. */
static bool sample_best(bool (*take)(struct sample *), struct sample *best)
{
    for (unsigned i = 0; i < TRIES; i++) {
        struct sample s;
        if (!take(&s)) return i > 0;
        uint64_t off = i == 0 ? s.tsc : s.tsc > best->tsc ? s.tsc - best->tsc : best->tsc - s.tsc;
        if (i == 0 || s.tsc < best->tsc) *best = s;
        if (off < best->tsc / AGREEMENT) break;
    }
    return true;
}

static uint64_t per_second(uint64_t ticks, uint64_t span_ns)
{
    return ticks * NS_PER_S / span_ns; /* 25 ms of ticks: no overflow */
}

/* What the CPU (SDM 2A CPUID.15H) or the hypervisor below us (leaf 0x40000010, kHz) says; 0: nothing. */
static uint64_t told_hz(void)
{
    if (cpuid(1, 0).ecx & 1u << 31 && cpuid(0x40000000, 0).eax >= 0x40000010) {
        uint64_t khz = cpuid(0x40000010, 0).eax;
        if (khz != 0) return khz * 1000;
    }
    if (cpuid(0, 0).eax < 0x15) return 0;
    struct cpuid c = cpuid(0x15, 0);
    return c.eax != 0 ? (uint64_t)c.ecx * c.ebx / c.eax : 0;
}

static void on_timer(void)
{
    this_cpu()->timer_deadline_ns = NO_DEADLINE;
}

void time_init(void)
{
    struct sample s = {0};
    const char *by = "PIT";

    if (!sample_best(sample_pit, &s)) {
        by = "PM timer";
        if (!sample_best(sample_pm_timer, &s))
            panic("no clock to measure the TSC against: neither PIT nor ACPI PM timer");
    }
    hz = per_second(s.tsc, s.span_ns);
    apic_hz = per_second(s.apic, s.span_ns);
    uint64_t told = told_hz(), off = told > hz ? told - hz : hz - told;
    if (told != 0 && off < hz / 100) {
        hz = told;
        by = "CPUID";
    }
    if (hz < 1000000) panic("the TSC ticks at %lu Hz: too slow to keep time", hz);
    to_ns = make_scale(hz, NS_PER_S);
    to_tsc = make_scale(NS_PER_S, hz);
    ns_to_apic = make_scale(NS_PER_S, apic_hz);
    deadline_mode = (cpuid(1, 0).ecx & 1u << 24) != 0;
    if (!deadline_mode && apic_hz == 0) panic("the local APIC timer does not run");
    irq_register(IRQ_VECTOR_TIMER, on_timer);
    time_cpu_init();
    wall_at_boot_ns = rtc_read_ns() - time_now_ns();
    log_line("tithe: TSC %lu Hz (%s), local APIC timer %lu Hz%s", hz, by, apic_hz,
             deadline_mode ? ", deadline mode" : "");
}

void time_cpu_init(void)
{
    apic_timer_oneshot(0);
    if (deadline_mode) apic_timer_mode_deadline();
    this_cpu()->timer_deadline_ns = NO_DEADLINE;
}

static void arm_oneshot(uint64_t deadline_ns)
{
    uint64_t now = time_now_ns();
    uint64_t count = deadline_ns > now ? apply(ns_to_apic, deadline_ns - now) + 1 : 1;

    apic_timer_oneshot(count < UINT32_MAX ? (uint32_t)count : UINT32_MAX);
}

/* Deadlines come from anywhere, ring 3 included. In ticks, a far one could wrap into the past, and would then fire for
 * ever. 36 years are never. */
#define FAR_NS (1ull << 60)

void time_arm(uint64_t deadline_ns)
{
    struct percpu *cpu = this_cpu();

    if (deadline_ns > FAR_NS) deadline_ns = NO_DEADLINE;
    if (cpu->timer_deadline_ns == deadline_ns) return;
    cpu->timer_deadline_ns = deadline_ns;
    if (deadline_mode) {
        /* A deadline that is past fires at once; 0 disarms (SDM 3A 11.5.4.1). */
        wrmsr(MSR_TSC_DEADLINE, deadline_ns == NO_DEADLINE ? 0 : tsc_at(deadline_ns) + 1);
    } else if (deadline_ns == NO_DEADLINE) {
        apic_timer_oneshot(0);
    } else {
        arm_oneshot(deadline_ns);
    }
}
