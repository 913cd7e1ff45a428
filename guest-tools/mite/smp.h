// SPDX-License-Identifier: MIT
// The other vCPUs: found in the MADT, started by INIT and SIPI (Intel SDM vol. 3, 9.4.4), numbered from 0, which is the one
// that booted.
#ifndef MITE_SMP_H
#define MITE_SMP_H

#include <stdbool.h>
#include <stdint.h>

#define CPUS_MAX 8

// Interrupt commands, to be combined with a vector, for smp_send().
enum {
    IPI_LOWEST = 0x100,
    IPI_NMI = 0x400,
    IPI_INIT = 0x500,
    IPI_START = 0x600,
    IPI_LOGICAL = 0x800,
    IPI_SELF = 0x40000,
    IPI_ALL = 0x80000,
    IPI_OTHERS = 0xC0000,
};

// Reads the MADT. At least 1.
uint32_t smp_count(void);

// By number.
uint32_t smp_apic_id(uint32_t cpu);

// The number of the vCPU that asks.
uint32_t smp_this(void);

// Interrupt command `low` to the APIC, or the logical set, `destination` (32 bits in x2APIC mode, else 8).
void smp_send(uint32_t destination, uint32_t low);

// Starts a vCPU, or starts it again wherever it is: it calls entry(cpu) with its own stack, the IDT, interrupts off and its
// APIC as INIT leaves it. False if it does not within some seconds.
bool smp_start(uint32_t cpu, void (*entry)(uint32_t cpu));

// Waits as long as `us`, with interrupts as they are.
void smp_delay(uint32_t us);

#endif
