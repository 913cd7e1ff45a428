// SPDX-License-Identifier: MIT
// The ways to end a virtual machine other than the exit port.
#ifndef MITE_POWER_H
#define MITE_POWER_H

// Writes the ACPI reset register of Tithe's platform, then tries a PC's keyboard controller.
_Noreturn void power_reboot(void);

// Enters S5 by the sleep control register of hardware-reduced ACPI (ACPI 6.5, 4.8.3.7).
_Noreturn void power_off(void);

// Triple fault.
_Noreturn void power_crash(void);

#endif
