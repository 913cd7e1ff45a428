/* SPDX-License-Identifier: MIT
 *
 * What a PC has where the first instruction after a reset is fetched in real mode, F000:FFF0. Guests jump there to
 * start again: Linux 6.1 does so on hardware-reduced ACPI without EFI (arch/x86/kernel/reboot.c: BOOT_EFI is tried
 * first, BOOT_BIOS next).
 */
#include "dev/acpi_pm.h"
#include "dev/platform.h"

#define RESET_VECTOR_GPA 0xFFFF0u

bool reset_vector_write(struct platform *p)
{
    static const uint8_t code[] = {
        0xBA, ACPI_RESET_PORT & 0xFF, ACPI_RESET_PORT >> 8, /* mov dx, the reset register */
        0xB0, ACPI_RESET_VALUE,                             /* mov al, its value */
        0xEE,                                               /* out dx, al */
    };
    return p->ops->mem_write(p->ctx, RESET_VECTOR_GPA, code, sizeof code);
}
