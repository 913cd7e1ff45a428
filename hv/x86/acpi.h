/* SPDX-License-Identifier: MIT
 *
 * The host's ACPI tables, as far as the core needs them: who is there, and how to switch off.
 */
#ifndef TITHE_X86_ACPI_H
#define TITHE_X86_ACPI_H

#include "boot/boot_info.h"
#include "lib/cpu_index.h"
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
    /* Enabled ones, each once, in the firmware's order; the boot CPU may be anywhere, or past the last that fits. 0: there is no
     * list. */
    uint32_t cpu_count;
    uint32_t cpu_apic_id[CPUS_MAX];
    bool cpus_left_out; /* there are more */
    uint32_t ioapic_count;
    struct acpi_ioapic ioapic[ACPI_IOAPICS_MAX];
    struct acpi_isa_line isa[16];
    uint16_t pm_timer_port; /* 0: none */
    bool pm_timer_32;
};
extern struct acpi_info acpi_info;

/* Reads the tables; without any, acpi_info describes a plain PC: one I/O APIC, no PM timer. */
void acpi_init(const struct boot_info *boot);
/* Switches the machine off (S5). Returns when it cannot. */
void acpi_power_off(void);

#endif
