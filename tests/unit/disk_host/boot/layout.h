/* SPDX-License-Identifier: MIT
 *
 * Instead of boot/layout.h: this program's own data, at made-up physical addresses (disk_machine.c).
 */
#ifndef TITHE_BOOT_LAYOUT_H
#define TITHE_BOOT_LAYOUT_H

#include "tithe/types.h"

hpa_t image_to_hpa(const void *image);

#endif
