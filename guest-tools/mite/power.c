// SPDX-License-Identifier: MIT
#include "power.h"

#include "console.h"
#include "cpu.h"
#include "trap.h"

#define SLEEP_CONTROL_PORT  0x600
#define RESET_PORT          0x602
#define SLEEP_TYPE_5_ENABLE 0x34
#define RESET_VALUE         0x01

#define KEYBOARD_COMMAND_PORT 0x64
#define KEYBOARD_PULSE_RESET  0xFE

static _Noreturn void stay(void)
{
    say("mite: still here\n");
    for (;;) __asm__ volatile("cli; hlt");
}

_Noreturn void power_reboot(void)
{
    say("mite: reboot\n");
    console_drain();
    outb(RESET_VALUE, RESET_PORT);
    outb(KEYBOARD_PULSE_RESET, KEYBOARD_COMMAND_PORT);
    stay();
}

_Noreturn void power_off(void)
{
    say("mite: poweroff\n");
    console_drain();
    outb(SLEEP_TYPE_5_ENABLE, SLEEP_CONTROL_PORT);
    stay();
}

_Noreturn void power_crash(void)
{
    say("mite: crash\n");
    console_drain();
    trap_destroy();
    __asm__ volatile("ud2");
    stay();
}
