// SPDX-License-Identifier: MIT
// Interrupts from vCPU to vCPU, and from the IOAPIC.
#include "apic.h"
#include "cpu.h"
#include "smp_tests.h"

#define IOAPIC_SELECT 0xFEC00000U
#define IOAPIC_WINDOW 0xFEC00010U
#define IOAPIC_MASKED 0x10000U
#define PIT_DIVISOR   11932U // 100 Hz

static void take_pending(uint32_t cpu)
{
    (void)cpu;
    __asm__ volatile("sti; nop; nop; cli");
}

// Everybody takes what is pending.
static void settle(void)
{
    all_do(take_pending);
}

// Everybody in `set` has counted one, and nobody else any.
static bool reached(uint32_t set, volatile uint32_t *counts, const char *what)
{
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++)
        if (set >> cpu & 1) sleep_till(&counts[cpu], 1, what);
    settle();
    bool ok = true;
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++) ok = ok && counts[cpu] == (set >> cpu & 1);
    counts_clear();
    return ok;
}

static bool sends(uint32_t destination, uint32_t kind, uint32_t set, const char *what)
{
    smp_send(destination, kind == IPI_NMI ? IPI_NMI : kind | VECTOR_TEST);
    return reached(set, kind == IPI_NMI ? nmi_count : test_count, what);
}

static void test_physical(void)
{
    bool ok = true, nmi = true;
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++) {
        ok = sends(smp_apic_id(cpu), 0, 1U << cpu, "ipi physical") && ok;
        if (cpu != 0) nmi = sends(smp_apic_id(cpu), IPI_NMI, 1U << cpu, "ipi nmi") && nmi;
    }
    ok = sends(apic_is_x2apic() ? 0xFFFFFFFF : 0xFF, 0, everybody(), "ipi broadcast") && ok;
    ok = sends(0xFE, 0, 0, "ipi nowhere") && ok;
    report("ipi physical", ok);
    report("ipi nmi", nmi);
}

static void test_shorthand(void)
{
    bool ok = sends(0, IPI_SELF, 1, "ipi self");
    ok = sends(0, IPI_ALL, everybody(), "ipi all") && ok;
    ok = sends(0, IPI_OTHERS, everybody() & ~1U, "ipi others") && ok;
    if (apic_is_x2apic()) {
        apic_write(0x3F0, VECTOR_TEST);
        ok = reached(1, test_count, "self ipi register") && ok;
    }
    report("ipi shorthand", ok);
    smp_send(0, IPI_OTHERS | IPI_NMI);
    report("ipi nmi others", reached(everybody() & ~1U, nmi_count, "ipi nmi others"));
}

static void cluster_id(uint32_t cpu)
{
    apic_write(APIC_DESTINATION_FORMAT, 0x0FFFFFFF);
    apic_write(APIC_LOGICAL_DESTINATION, (cpu / 4 << 4 | 1U << cpu % 4) << 24);
}

static void test_logical(void)
{
    bool ok = true;
    // Ids in x2APIC mode: cluster 0 has the first sixteen, as long as APIC ids are dense from 0.
    for (uint32_t set = 1; set <= everybody(); set += set < 8 ? 1 : set / 4)
        ok = sends(set, IPI_LOGICAL, set & everybody(), "ipi logical") && ok;
    report("ipi logical", ok);
    if (apic_is_x2apic()) return;
    all_do(cluster_id);
    ok = true;
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++)
        ok = sends(cpu / 4 << 4 | 1U << cpu % 4, IPI_LOGICAL, 1U << cpu, "ipi cluster") && ok;
    uint32_t first = everybody() & 0xF;
    report("ipi cluster", sends(0x0F, IPI_LOGICAL, first, "ipi cluster") && ok);
    all_do(set_flat_id);
}

static void test_lowest(void)
{
    counts_clear();
    smp_send(everybody(), IPI_LOGICAL | IPI_LOWEST | VECTOR_TEST);
    settle();
    uint32_t total = 0;
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++) total += test_count[cpu];
    counts_clear();
    report("ipi lowest priority", total == 1);
}

static void send_to_all_but_me(uint32_t cpu)
{
    for (uint32_t to = 0; to < smp_count(); to++)
        if (to != cpu) smp_send(smp_apic_id(to), VECTOR_TEST);
}

static void test_from_others(void)
{
    bool ok = true;
    for (uint32_t cpu = 1; cpu < smp_count(); cpu++) {
        begin_on(cpu, send_to_all_but_me);
        end_on(cpu);
        ok = reached(everybody() & ~(1U << cpu), test_count, "ipi from others") && ok;
    }
    report("ipi from others", ok);
}

void tests_ipi(void)
{
    counts_clear();
    test_physical();
    test_shorthand();
    test_logical();
    test_lowest();
    test_from_others();
}

static void route(uint32_t pin, uint32_t destination, uint32_t low)
{
    mmio_write32(IOAPIC_SELECT, 0x11 + 2 * pin);
    mmio_write32(IOAPIC_WINDOW, destination << 24);
    mmio_write32(IOAPIC_SELECT, 0x10 + 2 * pin);
    mmio_write32(IOAPIC_WINDOW, low);
}

// The 8254 is on pin 0 or, by the usual override, on pin 2.
static bool ticks_reach(uint32_t cpu, uint32_t destination, uint32_t low)
{
    counts_clear();
    route(0, destination, low);
    route(2, destination, low);
    sleep_till(&device_count[cpu], 3, "ioapic");
    route(0, 0, IOAPIC_MASKED);
    route(2, 0, IOAPIC_MASKED);
    settle();
    for (uint32_t i = 0; i < smp_count(); i++)
        if (i != cpu && device_count[i] != 0) return false;
    return true;
}

void tests_ioapic(void)
{
    bool ok = true;
    outb(0x34, 0x43); // channel 0, low then high byte, mode 2
    outb((uint8_t)(PIT_DIVISOR & 0xFF), 0x40);
    outb((uint8_t)(PIT_DIVISOR >> 8), 0x40);
    for (uint32_t cpu = 0; cpu < smp_count(); cpu++) {
        ok = ticks_reach(cpu, smp_apic_id(cpu), VECTOR_DEVICE) && ok;
        ok = ticks_reach(cpu, 1U << cpu, IPI_LOGICAL | VECTOR_DEVICE) && ok;
    }
    report("ioapic to every vCPU", ok);
}
