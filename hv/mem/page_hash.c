/* SPDX-License-Identifier: MIT
 *
 * Reading whole pages. A guest may write to them meanwhile, which is why these are apart: whoever looks for data races should
 * not look here.
 */
#include "mem/page.h"

/* Loads of 8 bytes, not calls of memcpy, which -ffreestanding would make of them. */
#define XXH_FORCE_MEMORY_ACCESS 1
#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t page_hash(const void *page, uint64_t seed)
{
    return XXH64(page, PAGE_BYTES, seed);
}

bool page_equal(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    for (unsigned i = 0; i < PAGE_BYTES / sizeof(*x); i += 4) {
        if (x[i] != y[i] || x[i + 1] != y[i + 1] || x[i + 2] != y[i + 2] || x[i + 3] != y[i + 3])
            return false;
    }
    return true;
}

bool page_is_zero(const void *page)
{
    const uint64_t *x = page;

    for (unsigned i = 0; i < PAGE_BYTES / sizeof(*x); i += 4) {
        if (x[i] | x[i + 1] | x[i + 2] | x[i + 3]) return false;
    }
    return true;
}
