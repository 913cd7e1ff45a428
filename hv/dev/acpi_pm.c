/* SPDX-License-Identifier: MIT */
#include "dev/acpi_pm.h"

#define SLEEP_ENABLE  0x20u
#define SLEEP_TYPE(v) ((v) >> 2 & 7u)

void acpi_pm_init(struct acpi_pm *pm)
{
    pm->control = 0;
}

uint8_t acpi_pm_read(const struct acpi_pm *pm, uint16_t port)
{
    /* The status register's one bit, WAK_STS, never comes up: nothing sleeps and wakes here. */
    return port == ACPI_SLEEP_CONTROL_PORT ? pm->control : 0;
}

enum acpi_pm_act acpi_pm_write(struct acpi_pm *pm, uint16_t port, uint8_t value)
{
    if (port == ACPI_RESET_PORT) return value == ACPI_RESET_VALUE ? ACPI_PM_RESET : ACPI_PM_NOTHING;
    if (port != ACPI_SLEEP_CONTROL_PORT) return ACPI_PM_NOTHING;
    pm->control = value & 0x1C; /* SLP_EN reads as zero */
    if ((value & SLEEP_ENABLE) != 0 && SLEEP_TYPE(value) == ACPI_SLEEP_TYPE_S5) return ACPI_PM_POWEROFF;
    return ACPI_PM_NOTHING;
}
