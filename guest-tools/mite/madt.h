// SPDX-License-Identifier: MIT
// The APICs that ACPI lists (ACPI 6.5, 5.2.12).
#ifndef MITE_MADT_H
#define MITE_MADT_H

#include <stdint.h>

// Writes the ids of enabled APICs, `own` first, and returns how many; 1 if there is no MADT.
uint32_t madt_apic_ids(uint8_t *ids, uint32_t limit, uint8_t own);

#endif
