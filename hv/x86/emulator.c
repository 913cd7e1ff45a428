/* SPDX-License-Identifier: MIT */
#include "x86/emulator.h"

#include "x86/cpu.h"

#define HYPERVISOR_PRESENT   (1u << 31) /* CPUID.1:ECX */
#define HYPERVISOR_SIGNATURE 0x40000000u
#define SIGNATURE_TCG        0x54474354u /* "TCGT" in EBX */
#define SIGNATURE_KVM        0x4b4d564bu /* "KVMK" */
#define DEBUG_CONSOLE        0xe9

/* QEMU says so in CPUID; Bochs' debug console answers with its own port number (port_e9_hack), where a real machine has
 * nothing. */
enum emulator emulator_found(void)
{
    if ((cpuid(1, 0).ecx & HYPERVISOR_PRESENT) != 0) {
        switch (cpuid(HYPERVISOR_SIGNATURE, 0).ebx) {
        case SIGNATURE_TCG: return EMULATOR_QEMU_TCG;
        case SIGNATURE_KVM: return EMULATOR_QEMU_KVM;
        default: return EMULATOR_NONE;
        }
    }
    return inb(DEBUG_CONSOLE) == DEBUG_CONSOLE ? EMULATOR_BOCHS : EMULATOR_NONE;
}
