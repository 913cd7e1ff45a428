/* SPDX-License-Identifier: MIT */
#ifndef TITHE_VM_MAIN_H
#define TITHE_VM_MAIN_H

#include "boot/boot_info.h"

/* Called by the boot code on the boot CPU when memory, time and interrupts work. */
_Noreturn void core_main(const struct boot_info *boot);

#endif
