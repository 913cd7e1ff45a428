// SPDX-License-Identifier: MIT
// Wake-ups, INIT at any time, clocks.
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "smp_tests.h"
#include "trap.h"

#define PASSES   2000U
#define RESTARTS 20U
#define NAPS     10U
#define NAP_US   2000U

// ---- HLT and interrupts from others ----

static volatile uint32_t token;

// A token goes round: who has it passes it on and sleeps till it comes back.
static void pass_round(uint32_t cpu)
{
    uint32_t last = smp_count() - 1;
    for (uint32_t round = 0; round < PASSES / smp_count(); round++) {
        uint32_t mine = round * smp_count() + cpu;
        if (cpu == 0)
            sleep_till(&token, mine, "wake");
        else
            while (token < mine) wait_for_interrupt();
        token = mine + 1;
        smp_send(smp_apic_id(cpu == last ? 0 : cpu + 1), VECTOR_WAKE);
    }
}

static void test_wake(void)
{
    token = 0;
    all_do(pass_round);
    report("wake", token == PASSES / smp_count() * smp_count());
}

static volatile bool halting;

static void halt_without_interrupts(uint32_t cpu)
{
    (void)cpu;
    halting = true;
    __asm__ volatile("cli; hlt");
}

// An NMI ends HLT, whatever the interrupt flag says; an interrupt does not.
static void test_nmi_wakes(void)
{
    halting = false;
    counts_clear();
    begin_on(1, halt_without_interrupts);
    while (!halting) pause();
    smp_delay(1000);
    smp_send(smp_apic_id(1), VECTOR_TEST);
    smp_delay(1000);
    bool ok = test_count[1] == 0;
    smp_send(smp_apic_id(1), IPI_NMI);
    end_on(1);
    sleep_till(&test_count[1], 1, "nmi wakes");
    report("nmi wakes", ok && nmi_count[1] == 1);
}

void tests_wake(void)
{
    test_wake();
    test_nmi_wakes();
}

// ---- INIT ----

static volatile uint32_t spins;

static void spin_for_ever(uint32_t cpu)
{
    (void)cpu;
    for (;;) spins++;
}

// INIT takes effect soon, and then for good.
static bool stands(void)
{
    for (uint32_t tries = 0; tries < 1000; tries++) {
        uint32_t before = spins;
        smp_delay(2000);
        if (spins == before) return true;
    }
    return false;
}

static void await_spins(void)
{
    uint32_t before = spins;
    while (spins == before) pause();
}

void tests_init(void)
{
    bool ok = true;
    uint32_t last = smp_count() - 1, id = smp_apic_id(last);
    for (uint32_t i = 0; i < RESTARTS; i++) {
        uint32_t starts = start_count[last];
        if (i % 2 == 0) {
            begin_on(last, spin_for_ever);
            await_spins();
            smp_send(id, IPI_START | 0x10); // to one that runs: nothing
            await_spins();
            ok = ok && start_count[last] == starts;
        } // else it sleeps
        smp_send(id, IPI_INIT);
        smp_delay(5000);
        ok = stands() && ok;
        smp_send(id, VECTOR_TEST); // is dropped
        smp_send(id, IPI_INIT);    // once more
        counts_clear();
        if (!restart(last)) give_up("restart");
        ok = ok && start_good[last] && test_count[last] == 0 && start_count[last] == starts + 1;
    }
    report("init and restart", ok);
}

// ---- time ----

static volatile uint32_t clock_lock;
static volatile uint64_t clock_last;
static volatile uint64_t clock_warp;

// As many readings in turn as it takes for everybody to follow everybody else.
static void read_clock(uint32_t cpu)
{
    (void)cpu;
    for (uint32_t i = 0; i < 10000; i++) {
        while (__sync_lock_test_and_set(&clock_lock, 1)) pause();
        uint64_t now = rdtsc();
        if (now < clock_last && clock_last - now > clock_warp) clock_warp = clock_last - now;
        clock_last = now;
        __sync_lock_release(&clock_lock);
    }
}

static void test_clock(void)
{
    clock_last = clock_warp = 0;
    all_do(read_clock);
    if (clock_warp != 0) say("smp: tsc warp=%llu\n", clock_warp);
    report("tsc", clock_warp == 0);
}

static volatile uint32_t tick_count[CPUS_MAX];
static volatile bool early[CPUS_MAX];

static void on_tick(void)
{
    apic_write(APIC_END_OF_INTERRUPT, 0);
    tick_count[smp_this()]++;
}

// Naps by every mode of the timer, on all vCPUs at once: each must end, and none too early.
static void nap(uint32_t cpu)
{
    for (uint32_t mode = 0; mode < TIMER_MODES; mode++) {
        tick_count[cpu] = 0;
        uint64_t nap_ticks = clock_us_to_ticks(NAP_US), start = rdtsc();
        for (uint32_t i = 1; i <= NAPS; i++) {
            if (mode != TIMER_PERIODIC || i == 1)
                apic_timer_wake_at(rdtsc() + nap_ticks, (enum timer_mode)mode);
            while (tick_count[cpu] < i) wait_for_interrupt();
            // The APIC's clock is a little different from the TSC where nobody says their frequencies.
            if (mode != TIMER_PERIODIC && rdtsc() - start < i * (nap_ticks - (nap_ticks >> 4)))
                early[cpu] = true;
        }
        apic_timer_stop();
    }
}

static void test_timers(void)
{
    bool ok = true;
    trap_on(VECTOR_TIMER, on_tick);
    all_do(nap); // vCPU 0's own naps come first; its patience with the others only then
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++) ok = ok && !early[cpu];
    report("timers", ok);
}

void tests_time(void)
{
    test_clock();
    test_timers();
}
