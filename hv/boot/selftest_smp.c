/* SPDX-License-Identifier: MIT
 *
 * Tries on the machine itself: other CPUs, with hosts that do nothing but wait for kicks.
 */
#ifdef TITHE_DEBUG
#include "boot/boot_info.h"
#include "boot/layout.h"
#include "boot/selftest.h"
#include "lib/log.h"
#include "lib/string.h"
#include "x86/cpu.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/time.h"

#define KICKS    2000u
#define WAIT_NS  10000000000ull
/* By then the line has all that its queue holds, and its user waits in the middle of a line. */
#define PANIC_NS 100000000ull

static uint32_t panic_wanted;    /* bit per CPU */
static uint32_t kicks[CPUS_MAX]; /* that a CPU has seen */

struct control {
    uint64_t cr0, cr3, cr4, efer, pat, xcr0;
    uint64_t mtrr[3]; /* default, one of the fixed, one of the others */
};
static struct control of_boot_cpu;

static struct control control(void)
{
    return (struct control){.cr0 = read_cr0(),
                            .cr3 = read_cr3(),
                            .cr4 = read_cr4(),
                            .efer = rdmsr(MSR_EFER),
                            .pat = rdmsr(MSR_PAT),
                            .xcr0 = read_cr4() & CR4_OSXSAVE ? xgetbv() : 0,
                            .mtrr = {rdmsr(0x2ff), rdmsr(0x250), rdmsr(0x200)}};
}

static const char *become_host(void)
{
    const struct percpu *cpu = this_cpu();
    const struct control mine = control();
    uint64_t word;

    if (boot_option_u64("refuse", 0) == cpu->apic_id) return "the test refuses it";
    if (memcmp(&mine, &of_boot_cpu, sizeof mine) != 0) return "its control registers differ";
    for (unsigned i = 0; i < IST_STACKS; i++)
        if (!read_word_safe((const uint64_t *)cpu->tss.ist[i] - 1, &word) ||
            read_word_safe((const uint64_t *)(cpu->tss.ist[i] - IST_STACK_BYTES) - 1, &word))
            return "an interrupt stack is not there, or not guarded";
    if (read_word_safe((const uint64_t *)(cpu->stack_top - STACK_BYTES) - 1, &word))
        return "its stack is not guarded";
    if (percpu_of(cpu_index()) != cpu || cpu->index != percpu_count() - 1) return "its number is wrong";
    time_arm(time_now_ns() + 1000000);
    while (cpu->timer_deadline_ns != NO_DEADLINE) cpu_idle();
    return NULL;
}

static void host(void)
{
    struct percpu *cpu = this_cpu();

    for (;;) {
        while (!cpu->resched) cpu_idle();
        cpu->resched = false;
        if (__atomic_load_n(&panic_wanted, __ATOMIC_ACQUIRE) >> cpu->index & 1) {
            time_delay_ns(PANIC_NS);
            panic("CPU %u, a test", cpu->index);
        }
        __atomic_fetch_add(&kicks[cpu->index], 1, __ATOMIC_RELEASE);
    }
}

void selftest_smp(void)
{
    of_boot_cpu = control();
    smp_start(become_host, host);
}

void selftest_smp_panic(bool all)
{
    selftest_smp();
    __atomic_store_n(&panic_wanted, all ? UINT32_MAX : 1u << (percpu_count() - 1), __ATOMIC_RELEASE);
    for (uint32_t i = 1; i < percpu_count(); i++) smp_kick(i);
    if (all) {
        time_delay_ns(PANIC_NS);
        panic("CPU 0, a test");
    }
    for (;;) log_line("self-test: this line is never cut");
}

unsigned selftest_kicks(void)
{
    unsigned lost = 0;

    for (uint32_t k = 1; k <= KICKS && lost == 0; k++) {
        const uint64_t until = time_now_ns() + WAIT_NS;
        for (uint32_t i = 1; i < percpu_count(); i++) smp_kick(i);
        for (uint32_t i = 1; i < percpu_count(); i++) {
            while (__atomic_load_n(&kicks[i], __ATOMIC_ACQUIRE) != k && time_now_ns() < until) cpu_pause();
            if (kicks[i] == k) continue;
            log_line("self-test: CPU %u has seen %u kicks of %u", i, kicks[i], k);
            lost++;
        }
    }
    smp_kick(0); /* this one, and nobody: no effect */
    smp_kick(CPUS_MAX);
    return lost + (this_cpu()->resched ? 1 : 0);
}
#endif
