/* SPDX-License-Identifier: MIT
 *
 * The end: an emulator gets an exit status, a machine is switched off.
 */
#ifndef TITHE_X86_LEAVE_H
#define TITHE_X86_LEAVE_H

#include <stdint.h>

/* Status of a panic. */
#define LEAVE_PANIC 70

/* Logs "tithe: exit STATUS", waits till the serial line has sent it, and leaves: by the door of the emulator
 * that it finds itself in, or that the command line names (leave=qemu: process status (STATUS << 1) | 1;
 * leave=bochs: to the debugger; leave=acpi: neither), else by ACPI S5; failing all, halts. */
_Noreturn void machine_leave(uint8_t status);

#endif
