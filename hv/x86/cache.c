/* SPDX-License-Identifier: MIT */
#include "x86/cache.h"

#include "x86/cpu.h"

/* Intel and AMD describe caches alike in different leaves: SDM 2A CPUID 04H; APM 3 E.4.15, CPUID 8000_001D. */
#define LEAF_INTEL     4u
#define LEAF_AMD       0x8000001du
#define AMD_EXTENSIONS (1u << 22) /* 8000_0001 ECX: the leaf is there */

#define CACHES_MAX 8u
#define TYPE_DATA  1u /* 0: no more caches */
#define TYPE_BOTH  3u

static uint64_t way_bytes(uint32_t leaf)
{
    uint64_t bytes = 0;
    uint32_t level = 0;

    for (uint32_t i = 0; i < CACHES_MAX; i++) {
        const struct cpuid c = cpuid(leaf, i);
        const uint32_t type = c.eax & 0x1f;
        if (!type) break;
        if ((type != TYPE_DATA && type != TYPE_BOTH) || (c.eax >> 5 & 7) <= level) continue;
        level = c.eax >> 5 & 7;
        bytes = (uint64_t)(c.ecx + 1) * ((c.ebx & 0xfff) + 1); /* sets, bytes of a line */
    }
    return bytes;
}

uint32_t cache_colours(uint32_t most)
{
    const bool amd = cpuid(0x80000000, 0).eax >= LEAF_AMD && (cpuid(0x80000001, 0).ecx & AMD_EXTENSIONS) != 0;
    const uint64_t bytes = amd                             ? way_bytes(LEAF_AMD)
                           : cpuid(0, 0).eax >= LEAF_INTEL ? way_bytes(LEAF_INTEL)
                                                           : 0;
    uint32_t colours = 1;

    while (colours < most && bytes % (2ull * colours * PAGE_BYTES) == 0 && bytes) colours *= 2;
    return colours;
}
