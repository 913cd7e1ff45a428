// SPDX-License-Identifier: MIT
// What a guest may do to itself with several vCPUs; nobody else must notice.
#include "apic.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "memory.h"
#include "power.h"
#include "smp_tests.h"
#include "trap.h"

#define STORM_MS 500U

// Where a vCPU that gets a wild SIPI stays.
#define SINK 0x9000U

static uint32_t random_state[CPUS_MAX];

// Xorshift (Marsaglia 2003), the 32-bit one with 13, 17, 5.
static uint32_t random_next(uint32_t cpu)
{
    uint32_t *x = &random_state[cpu];
    if (*x == 0) *x = cpu + 1;
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static bool storming(uint64_t start)
{
    return rdtsc() - start < (uint64_t)clock_tsc_khz() * STORM_MS;
}

// Interrupts of every kind, but INIT and SIPI, to whoever there is and is not. Vectors of interrupts are those that
// handlers end.
static void storm(uint32_t cpu)
{
    static const uint8_t vectors[] = {VECTOR_WAKE, VECTOR_TEST, VECTOR_DEVICE};
    for (uint64_t start = rdtsc(); storming(start);) {
        uint32_t r = random_next(cpu);
        uint32_t mode = r & 0x700;
        if (mode == IPI_INIT || mode == IPI_START) mode = IPI_NMI;
        uint32_t low = mode | (r & 0xC8800) | vectors[(r >> 24) % sizeof vectors];
        smp_send(r & 0x1000000 ? random_next(cpu) : r >> 28, low);
        if ((r & 0x3E000000) == 0) __asm__ volatile("sti; nop; cli");
    }
}

static void storm_with_interrupts(uint32_t cpu)
{
    quiet = true;
    storm(cpu);
    __asm__ volatile("sti");
    smp_delay(1000);
    __asm__ volatile("cli");
}

// INIT and SIPI at random among all but vCPU 0, which restarts everybody afterwards.
static void wild(uint32_t cpu)
{
    for (uint64_t start = rdtsc(); storming(start);) {
        uint32_t r = random_next(cpu), to = 1 + r % (smp_count() - 1);
        smp_send(smp_apic_id(to), r & 0x100 ? IPI_INIT : IPI_START | SINK >> 12);
        if ((r & 0xF000) == 0) smp_delay(10);
    }
}

static void act_storm(void)
{
    all_do(storm_with_interrupts);
    counts_clear();
    quiet = false;
    smp_send(0, IPI_ALL | VECTOR_TEST);
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++) sleep_till(&test_count[cpu], 1, "after the storm");
}

static void act_wild(void)
{
    static const uint8_t stay[] = {0xF4, 0xEB, 0xFD}; // hlt, and again
    memcpy((void *)SINK, stay, sizeof stay);
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++) begin_on(cpu, wild);
    wild(0);
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++)
        if (!restart(cpu) || !start_good[cpu]) give_up("restart");
    act_storm();
}

static void init_self(uint32_t cpu)
{
    smp_send(smp_apic_id(cpu), IPI_INIT);
    machine_exit(9); // it has not stopped
}

static void act_init_self(void)
{
    begin_on(1, init_self);
    smp_delay(5000);
    if (!restart(1)) give_up("restart");
}

static void fault(uint32_t cpu)
{
    (void)cpu;
    power_crash();
}

static void power(uint32_t cpu)
{
    (void)cpu;
    power_off();
}

static void leave(uint32_t cpu)
{
    machine_exit(cpu);
}

static void spin(uint32_t cpu)
{
    (void)cpu;
    for (;;) pause();
}

// The last vCPU does it while the others spin.
static void last_does(void (*work)(uint32_t cpu))
{
    for (uint32_t cpu = 1; cpu < smp_count() - 1; cpu++) begin_on(cpu, spin);
    begin_on(smp_count() - 1, work);
    spin(0);
}

bool hostile(struct span act)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } mine[] = {{"storm", act_storm}, {"wild", act_wild}, {"init-self", act_init_self}};
    static const struct {
        const char *name;
        void (*work)(uint32_t cpu);
    } last[] = {{"triple", fault}, {"poweroff", power}, {"exit", leave}};
    for (uint32_t i = 0; i < sizeof mine / sizeof *mine; i++) {
        if (!span_is(act, mine[i].name)) continue;
        mine[i].run();
        return true;
    }
    for (uint32_t i = 0; i < sizeof last / sizeof *last; i++)
        if (span_is(act, last[i].name)) last_does(last[i].work);
    if (span_is(act, "init-first")) init_self(0);
    return false;
}
