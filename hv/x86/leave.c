/* SPDX-License-Identifier: MIT */
#include "boot/boot_info.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "lib/string.h"
#include "x86/acpi.h"
#include "x86/cpu.h"
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

#define HYPERVISOR_PRESENT   (1u << 31) /* CPUID.1:ECX */
#define HYPERVISOR_SIGNATURE 0x40000000u
#define SIGNATURE_TCG        0x54474354u /* "TCGT" in EBX */
#define SIGNATURE_KVM        0x4b4d564bu /* "KVMK" */
#define DEBUG_CONSOLE        0xe9

/* The emulator this looks like: QEMU says so in CPUID; Bochs' debug console answers with its own port number
 * (port_e9_hack), where a real machine has nothing. */
static const char *emulator_found(void)
{
    if ((cpuid(1, 0).ecx & HYPERVISOR_PRESENT) != 0) {
        const uint32_t signature = cpuid(HYPERVISOR_SIGNATURE, 0).ebx;
        return signature == SIGNATURE_TCG || signature == SIGNATURE_KVM ? "qemu" : "";
    }
    return inb(DEBUG_CONSOLE) == DEBUG_CONSOLE ? "bochs" : "";
}

void machine_leave(uint8_t status)
{
    char emulator[8];

    smp_stop_others();
    /* As in a panic: nobody holds the lock who could give it back. */
    log_line_panic("tithe: exit %u", status);
    serial_drain();

    if (!boot_option("leave", emulator, sizeof emulator)) {
        text_copy(emulator, sizeof emulator, emulator_found());
    }
    if (strcmp(emulator, "qemu") == 0) outl(QEMU_DEBUG_EXIT, status);
    if (strcmp(emulator, "bochs") == 0) leave_bochs(status);
    acpi_power_off();

    log_line_panic("tithe: this machine cannot be switched off by software: halted");
    serial_drain();
    cpu_halt();
}
