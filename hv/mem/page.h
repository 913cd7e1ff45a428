/* SPDX-License-Identifier: MIT
 *
 * Filling whole pages: one string instruction is the shortest code and, on CPUs of the last ten years, the
 * fastest.
 */
#ifndef TITHE_MEM_PAGE_H
#define TITHE_MEM_PAGE_H

#include "tithe/types.h"

/* Sets all 512 words of a page. */
static inline void page_fill(void *page, uint64_t word)
{
    uint64_t words = PAGE_BYTES / sizeof(word);

    __asm__ volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(word) : "memory");
}

static inline void page_zero(void *page)
{
    page_fill(page, 0);
}

#endif
