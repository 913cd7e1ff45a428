/* SPDX-License-Identifier: MIT
 *
 * Nested page tables (APM 2 15.25): the long-mode format. Every nested access counts as a user access, so U/S
 * is set at all levels (15.25.5); the host's EFER.NXE must be on; the global bit means nothing.
 */
#include "mem/p2m.h"
#include "mem/pt.h"
#include "mem/x86_entry.h"

#define NPT_FREE       (~X86_PRESENT)
#define NPT_TYPE_SHIFT 1u
#define NPT_TYPE_MASK  7ull

_Static_assert(((NPT_TYPE_MASK << NPT_TYPE_SHIFT) & ~NPT_FREE) == 0, "the type is in free bits");
_Static_assert(((NPT_TYPE_MASK << NPT_TYPE_SHIFT) & X86_ADDRESS) == 0, "a type names no frame (L1TF)");
_Static_assert(P2M_COMPRESSED <= NPT_TYPE_MASK, "every type fits");
_Static_assert((PT_NOTE & ~NPT_FREE) == 0 && (PT_NOTE & X86_ADDRESS) == 0,
               "a note is in free bits, and no frame");

const struct pt_format pt_format_npt = {
    .name = "npt",
    .levels = 4,
    .type_shift = NPT_TYPE_SHIFT,
    .type_mask = NPT_TYPE_MASK,
    .free = NPT_FREE,
    .present = X86_PRESENT,
    .address = X86_ADDRESS,
    .table = X86_PRESENT | X86_WRITE | X86_USER,
    .leaf = X86_PRESENT | X86_USER,
    .large = X86_LARGE,
    .write = X86_WRITE,
    .no_exec = X86_NX,
    .uncached = X86_UC,
    .accessed = X86_ACCESSED,
    .dirty = X86_DIRTY,
};
