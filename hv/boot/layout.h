/* SPDX-License-Identifier: MIT
 *
 * Where the core is, in memory and in its address space.
 */
#ifndef TITHE_BOOT_LAYOUT_H
#define TITHE_BOOT_LAYOUT_H

#define CORE_BASE   0xffffffff80000000
#define DIRECT_BASE 0xffff800000000000

/* Stacks of CPUs other than the first; see boot_stacks. Under the same entry of the top table as the image. */
#define STACKS_BASE 0xffffffffc0000000

/* A CPU's stacks, each above a page that is not mapped. */
#define STACK_BYTES     32768
#define IST_STACK_BYTES 8192
#define IST_STACKS      4

#ifdef __ASSEMBLER__

#define PHYS(symbol) (symbol - CORE_BASE)

/* Selectors in the table that CPUs start with. */
#define EARLY_CS32      0x10
#define EARLY_DS32      0x18
#define EARLY_GDT_LIMIT 31

#else

#include "tithe/types.h"

/* Bounds of the image's parts, from the linker; all but the ends on page boundaries. */
extern char image_start[], text_start[], text_end[], rodata_start[], rodata_end[], data_start[], image_end[];

/* The boot CPU's: one guard page, then the stack; then guard page and stack for each IST. */
extern char boot_stacks[];
#define BOOT_STACKS_BYTES (PAGE_BYTES + STACK_BYTES + IST_STACKS * (PAGE_BYTES + IST_STACK_BYTES))

/* Physical address of something in the core's image. */
static inline hpa_t image_to_hpa(const void *image)
{
    return (uint64_t)(uintptr_t)image - CORE_BASE;
}

#endif
#endif
