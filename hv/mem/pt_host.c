/* SPDX-License-Identifier: MIT
 *
 * The host's own tables (SDM 3A 4.5): kernel half and steward. Accessed and dirty are set from the start, so
 * that the CPU need not write them; CR0.WP and EFER.NXE are taken for granted.
 */
#include "mem/pt.h"
#include "mem/x86_entry.h"

#define HOST_LEAF (X86_PRESENT | X86_ACCESSED | X86_DIRTY)

_Static_assert(((HOST_LEAF | X86_WRITE | X86_USER | X86_UC | X86_LARGE | X86_GLOBAL | X86_NX) &
                X86_ADDRESS) == 0,
               "no overlap");

const struct pt_format pt_format_host = {
    .name = "host",
    .levels = 4,
    .type_shift = 1,
    .type_mask = 7,
    .free = ~X86_PRESENT,
    .present = X86_PRESENT,
    .address = X86_ADDRESS,
    .table = X86_PRESENT | X86_WRITE | X86_USER | X86_ACCESSED,
    .leaf = HOST_LEAF,
    .large = X86_LARGE,
    .write = X86_WRITE,
    .no_exec = X86_NX,
    .user = X86_USER,
    .global = X86_GLOBAL,
    .uncached = X86_UC,
    .accessed = X86_ACCESSED,
    .dirty = X86_DIRTY,
};
