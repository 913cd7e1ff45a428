/* SPDX-License-Identifier: MIT
 *
 * What is written into a page: 512 words that depend on the page's number, the run's seed and how often the page
 * has been written. No two pages are alike, and neither are two writings of one page, so a page that was lost,
 * swapped for another or brought back in an old state is found out. Other kinds than `unique` give that up in part,
 * for a hypervisor to find something in them.
 */
#ifndef MEMLOAD_PATTERN_H
#define MEMLOAD_PATTERN_H

#include <stdint.h>

#define PAGE_BYTES 4096u
#define PAGE_WORDS (PAGE_BYTES / 8u)

enum kind {
    KIND_UNIQUE,
    KIND_ALIKE,   /* without the seed: every guest writes the same */
    KIND_ZERO,    /* every second writing; the others are unique */
    KIND_QUARTER, /* says its first quarter four times, and so can be compressed, as the others cannot */
};

/* Words first, first * factor + addend, ..., which begin again after `period`. */
struct pattern {
    uint64_t first, factor, addend;
    unsigned period;
};

/* splitmix64's finisher spreads the three inputs over all bits. From there on it is Knuth's MMIX linear congruential
 * step: two instructions a word, which counts inside an emulator. */
static inline struct pattern pattern_of(enum kind kind, uint64_t page, uint64_t seed, uint64_t writes)
{
    if (kind == KIND_ZERO && writes % 2 == 0) return (struct pattern){.period = PAGE_WORDS};
    if (kind == KIND_ALIKE) seed = 0;
    uint64_t x = page * 0x9e3779b97f4a7c15u ^ seed ^ writes << 48;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return (struct pattern){.first = x ^ x >> 31,
                            .factor = 6364136223846793005u,
                            .addend = 1442695040888963407u,
                            .period = kind == KIND_QUARTER ? PAGE_WORDS / 4 : PAGE_WORDS};
}

#endif
