/* SPDX-License-Identifier: MIT */
#include "boot/boot_info.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "lib/string.h"
#include "x86/acpi.h"
#include "x86/cpu.h"
#include "x86/emulator.h"
#include "x86/leave.h"
#include "x86/smp.h"

#define QEMU_DEBUG_EXIT 0xf4
#define BOCHS_PORT      0x8900

/* Bochs: 'D' stops in its debugger, which is told to quit with status 0; "Shutdown" ends it with status 1. */
static void leave_bochs(uint8_t status)
{
    if (status == 0) {
        outb(BOCHS_PORT, 'D');
        return;
    }
    for (const char *p = "Shutdown"; *p != '\0'; p++) outb(BOCHS_PORT, (uint8_t)*p);
}

static const char *const leave_by[] = {[EMULATOR_NONE] = "",
                                       [EMULATOR_QEMU_TCG] = "qemu",
                                       [EMULATOR_QEMU_KVM] = "qemu",
                                       [EMULATOR_BOCHS] = "bochs"};

void machine_leave(uint8_t status)
{
    char emulator[8];

    smp_stop_others();
    /* As in a panic: nobody holds the lock who could give it back. */
    log_line_panic("tithe: exit %u", status);
    serial_drain();

    if (!boot_option("leave", emulator, sizeof emulator)) {
        text_copy(emulator, sizeof emulator, leave_by[emulator_found()]);
    }
    if (strcmp(emulator, "qemu") == 0) outl(QEMU_DEBUG_EXIT, status);
    if (strcmp(emulator, "bochs") == 0) leave_bochs(status);
    acpi_power_off();

    log_line_panic("tithe: this machine cannot be switched off by software: halted");
    serial_drain();
    cpu_halt();
}
