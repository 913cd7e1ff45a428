/* SPDX-License-Identifier: MIT
 *
 * What is written into a page: 512 words that depend on the page's number, the run's seed and how often the page
 * has been written. No two pages are alike, and neither are two writings of one page, so a page that was lost,
 * swapped for another or brought back in an old state is found out.
 */
#ifndef MEMLOAD_PATTERN_H
#define MEMLOAD_PATTERN_H

#include <stdint.h>

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8u)

/* splitmix64's finisher: spreads the three inputs over all bits. */
static inline uint64_t pattern_first(uint64_t page, uint64_t seed, uint64_t writes)
{
    uint64_t x = page * 0x9e3779b97f4a7c15u ^ seed ^ writes << 48;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Knuth's MMIX linear congruential step: two instructions a word, which counts inside an emulator. */
static inline uint64_t pattern_next(uint64_t word)
{
    return word * 6364136223846793005u + 1442695040888963407u;
}

#endif
