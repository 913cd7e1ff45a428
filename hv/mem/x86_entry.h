/* SPDX-License-Identifier: MIT
 *
 * Bits of a long-mode page-table entry (SDM 3A 4.5, APM 2 5.3): the host's own tables and AMD's nested ones.
 */
#ifndef TITHE_MEM_X86_ENTRY_H
#define TITHE_MEM_X86_ENTRY_H

#define X86_PRESENT  (1ull << 0)
#define X86_WRITE    (1ull << 1)
#define X86_USER     (1ull << 2)
#define X86_PWT      (1ull << 3)
#define X86_PCD      (1ull << 4)
#define X86_ACCESSED (1ull << 5)
#define X86_DIRTY    (1ull << 6)
#define X86_LARGE    (1ull << 7)
#define X86_GLOBAL   (1ull << 8)
#define X86_ADDRESS  0x000ffffffffff000ull
#define X86_NX       (1ull << 63)
/* PAT entry 3: uncacheable after reset, whatever the MTRRs say (SDM 3A 11.12.4). */
#define X86_UC       (X86_PCD | X86_PWT)

#endif
