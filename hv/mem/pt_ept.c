/* SPDX-License-Identifier: MIT
 *
 * Extended page tables (SDM 3C 28.3.2). A guest's own page attributes decide about caching together with the
 * leaf's memory type: write-back, and "ignore PAT" clear.
 */
#include "mem/p2m.h"
#include "mem/pt.h"

#define EPT_READ      (1ull << 0)
#define EPT_WRITE     (1ull << 1)
#define EPT_EXEC      (1ull << 2)
#define EPT_WB        (6ull << 3)
#define EPT_LARGE     (1ull << 7)
#define EPT_ACCESSED  (1ull << 8)
#define EPT_DIRTY     (1ull << 9)
/* Also a present bit once mode-based execute control is on; kept clear in non-present entries. */
#define EPT_USER_EXEC (1ull << 10)
#define EPT_ADDRESS   0x000ffffffffff000ull

#define EPT_PRESENT    (EPT_READ | EPT_WRITE | EPT_EXEC)
#define EPT_FREE       (~(EPT_PRESENT | EPT_USER_EXEC))
#define EPT_TYPE_SHIFT 3u
#define EPT_TYPE_MASK  7ull

_Static_assert(((EPT_TYPE_MASK << EPT_TYPE_SHIFT) & ~EPT_FREE) == 0, "the type is in free bits");
_Static_assert(((EPT_TYPE_MASK << EPT_TYPE_SHIFT) & EPT_ADDRESS) == 0, "a type names no frame (L1TF)");
_Static_assert(P2M_COMPRESSED <= EPT_TYPE_MASK, "every type fits");
_Static_assert((PT_NOTE & ~EPT_FREE) == 0 && (PT_NOTE & EPT_ADDRESS) == 0,
               "a note is in free bits, and no frame");
_Static_assert(((EPT_PRESENT | EPT_WB | EPT_LARGE | EPT_ACCESSED | EPT_DIRTY) & EPT_ADDRESS) == 0,
               "no overlap");

const struct pt_format pt_format_ept = {
    .name = "ept",
    .levels = 4,
    .type_shift = EPT_TYPE_SHIFT,
    .type_mask = EPT_TYPE_MASK,
    .free = EPT_FREE,
    .present = EPT_PRESENT,
    .address = EPT_ADDRESS,
    .table = EPT_READ | EPT_WRITE | EPT_EXEC,
    .leaf = 0,
    .large = EPT_LARGE,
    .read = EPT_READ,
    .write = EPT_WRITE,
    .exec = EPT_EXEC,
    .cached = EPT_WB,
    .uncached = 0,
    .accessed = EPT_ACCESSED,
    .dirty = EPT_DIRTY,
};

/* IA32_VMX_EPT_VPID_CAP (SDM 3D A.10) and the EPTP's fields (SDM 3C 24.6.11). */
#define CAP_WB             (1ull << 14)
#define CAP_ACCESSED_DIRTY (1ull << 21)
#define EPTP_WB            6ull
#define EPTP_WALK_4        (3ull << 3)
#define EPTP_AD            (1ull << 6)

bool ept_accessed(uint64_t ept_vpid_cap)
{
    return (ept_vpid_cap & CAP_ACCESSED_DIRTY) != 0;
}

uint64_t ept_pointer(hpa_t root, uint64_t ept_vpid_cap)
{
    return root | EPTP_WALK_4 | (ept_vpid_cap & CAP_WB ? EPTP_WB : 0) |
           (ept_accessed(ept_vpid_cap) ? EPTP_AD : 0);
}
