/* SPDX-License-Identifier: MIT
 *
 * Which emulator this machine looks like.
 */
#ifndef TITHE_X86_EMULATOR_H
#define TITHE_X86_EMULATOR_H

enum emulator { EMULATOR_NONE = 0, EMULATOR_QEMU_TCG, EMULATOR_QEMU_KVM, EMULATOR_BOCHS };

enum emulator emulator_found(void);

#endif
