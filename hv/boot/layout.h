/* SPDX-License-Identifier: MIT
 *
 * Where the core is, in memory and in its address space.
 */
#ifndef TITHE_BOOT_LAYOUT_H
#define TITHE_BOOT_LAYOUT_H

#define CORE_BASE   0xffffffff80000000
#define DIRECT_BASE 0xffff800000000000

/* The boot CPU's stacks, each above a page that is not mapped. */
#define STACK_BYTES     32768
#define IST_STACK_BYTES 8192
#define IST_STACKS      4

#ifndef __ASSEMBLER__

#include "tithe/types.h"

/* Bounds of the image's parts, from the linker; all but the ends on page boundaries. */
extern char image_start[], text_start[], text_end[], rodata_start[], rodata_end[], data_start[], image_end[];

/* One guard page, then the stack; then guard page and stack for each IST. */
extern char boot_stacks[];
#define BOOT_STACKS_BYTES (PAGE_BYTES + STACK_BYTES + IST_STACKS * (PAGE_BYTES + IST_STACK_BYTES))

/* Physical address of something in the core's image. */
static inline hpa_t image_to_hpa(const void *image)
{
    return (uint64_t)(uintptr_t)image - CORE_BASE;
}

#endif
#endif
