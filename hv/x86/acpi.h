/* SPDX-License-Identifier: MIT
 *
 * The host's ACPI tables, as far as the core needs them: who is there, and how to switch off.
 */
#ifndef TITHE_X86_ACPI_H
#define TITHE_X86_ACPI_H

#include "boot/boot_info.h"
#include "tithe/types.h"

#define ACPI_IOAPICS_MAX 8u

struct acpi_ioapic {
    hpa_t address;
    uint32_t gsi_base;
};

/* Where an ISA interrupt line really arrives. */
struct acpi_isa_line {
    uint32_t gsi;
    bool active_low;
    bool level;
};

struct acpi_info {
    uint32_t cpu_count; /* enabled ones */
    uint32_t cpu_apic_id[64];
    uint32_t ioapic_count;
    struct acpi_ioapic ioapic[ACPI_IOAPICS_MAX];
    struct acpi_isa_line isa[16];
    uint16_t pm_timer_port; /* 0: none */
    bool pm_timer_32;
};
extern struct acpi_info acpi_info;

/* Reads the tables; without any, acpi_info describes a plain PC: one CPU, one I/O APIC, no PM timer. */
void acpi_init(const struct boot_info *boot);
/* Switches the machine off (S5). Returns when it cannot. */
void acpi_power_off(void);

#endif
