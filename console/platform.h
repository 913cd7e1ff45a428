/* SPDX-License-Identifier: MIT
 *
 * Which combinations of hardware and firmware can be had, and which one `auto` means here.
 */
#ifndef CONSOLE_PLATFORM_H
#define CONSOLE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

enum hw {
    HW_AUTO,
    HW_VTX, /* Bochs */
    HW_AMD, /* QEMU, TCG */
    HW_KVM, /* QEMU with nested virtualisation */
    HW_SIM, /* no hypervisor: the steward's simulated machine */
};

enum firmware {
    FIRMWARE_DEFAULT,
    FIRMWARE_BIOS,
    FIRMWARE_UEFI,
    FIRMWARE_NONE, /* QEMU's -kernel */
};

struct platform {
    enum hw hw;
    enum firmware firmware;
};

enum status platform_parse_hw(const char *text, enum hw *hw, struct error *e);
enum status platform_parse_firmware(const char *text, enum firmware *firmware, struct error *e);

/* Replaces HW_AUTO and FIRMWARE_DEFAULT by what they come to on this host, and says in `why` (n bytes) what
 * was taken and for what reason; "" when nothing was left to choose. Refuses combinations that do not exist.
 */
enum status platform_choose(struct platform *p, char *why, size_t n, struct error *e);

/* More CPUs would be slow: they are all emulated by a few of this host's. */
#define PLATFORM_CPUS_MAX 16u

/* How many CPUs a chosen platform can be given; `why_no_more` says what stands against more than that. */
unsigned platform_cpus_max(const struct platform *p, const char **why_no_more);

const char *hw_name(enum hw hw);
const char *firmware_name(enum firmware firmware);

/* True when KVM works here and offers VT-x or AMD-V to a guest; otherwise `why_not` (n bytes) says what is
 * missing. */
bool platform_kvm_nests(char *why_not, size_t n);

#endif
