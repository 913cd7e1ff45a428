// SPDX-License-Identifier: MIT
// What the tests of smp.elf share: work for other vCPUs, and waiting for it.
#ifndef TESTKERNELS_SMP_TESTS_H
#define TESTKERNELS_SMP_TESTS_H

#include <stdbool.h>
#include <stdint.h>

#include "smp.h"
#include "text.h"

// Vectors, above mite's.
enum { VECTOR_WAKE = 0x40, VECTOR_TEST = 0x50, VECTOR_DEVICE = 0x60, VECTOR_PATIENCE = 0x70 };

// Every vCPU that was started, a bit each.
uint32_t everybody(void);

// Prints "smp: WHAT ok" or "FAIL", once for each test.
void report(const char *what, bool ok);
_Noreturn void give_up(const char *what);

// Counts of VECTOR_TEST, NMIs and VECTOR_DEVICE by vCPU. Who counts wakes vCPU 0, unless `quiet`.
extern volatile uint32_t test_count[CPUS_MAX], nmi_count[CPUS_MAX], device_count[CPUS_MAX];
extern volatile bool quiet;
void counts_clear(void);

// Sleeps till *at is at least `value`; what makes it so also sends an interrupt. Ends the machine if that does not come
// within a quarter of a minute, and so finds lost wake-ups.
void sleep_till(const volatile uint32_t *at, uint32_t value, const char *what);

// Has vCPU `cpu` (not 0) do some work, with interrupts off, and waits till it has.
void begin_on(uint32_t cpu, void (*work)(uint32_t cpu));
void end_on(uint32_t cpu);
// Everybody at once, this vCPU too.
void all_do(void (*work)(uint32_t cpu));

// (Re)starts a vCPU into the loop that waits for work.
bool restart(uint32_t cpu);
// In xAPIC mode: bit `cpu` of logical destinations. They have it from their start.
void set_flat_id(uint32_t cpu);
// How often each has been started, and whether it looked right (SDM 3A table 9-1).
extern volatile uint32_t start_count[CPUS_MAX];
extern volatile bool start_good[CPUS_MAX];

void tests_ipi(void);
void tests_init(void);
void tests_wake(void);
void tests_time(void);
void tests_ioapic(void);

// False if there is no such act.
bool hostile(struct span act);

#endif
