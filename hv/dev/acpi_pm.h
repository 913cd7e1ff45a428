/* SPDX-License-Identifier: MIT
 *
 * The three registers of hardware-reduced ACPI (ACPI 6.5 4.8.3.7): sleep control, sleep status, reset.
 */
#ifndef TITHE_DEV_ACPI_PM_H
#define TITHE_DEV_ACPI_PM_H

#include "tithe/types.h"

#define ACPI_SLEEP_CONTROL_PORT 0x600u
#define ACPI_SLEEP_STATUS_PORT  0x601u
#define ACPI_RESET_PORT         0x602u
#define ACPI_RESET_VALUE        1u
#define ACPI_SLEEP_TYPE_S5      5u

struct acpi_pm {
    uint8_t control;
};

enum acpi_pm_act { ACPI_PM_NOTHING, ACPI_PM_POWEROFF, ACPI_PM_RESET };

void acpi_pm_init(struct acpi_pm *pm);
uint8_t acpi_pm_read(const struct acpi_pm *pm, uint16_t port);
enum acpi_pm_act acpi_pm_write(struct acpi_pm *pm, uint16_t port, uint8_t value);

#endif
