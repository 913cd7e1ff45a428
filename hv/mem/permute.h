/* SPDX-License-Identifier: MIT
 *
 * Numbers 0 .. n-1 in a random order, none twice, without a list of them: a Feistel network over the next even number of
 * bits, followed from whatever is n or more till it is less (Black and Rogaway 2002, cycle walking).
 */
#ifndef TITHE_MEM_PERMUTE_H
#define TITHE_MEM_PERMUTE_H

#include "tithe/types.h"

/* splitmix64 (Steele, Lea, Flood 2014): a good mixture of all 64 bits. */
static inline uint64_t permute_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

/* The number in place i of the order that `key` names; i < n. Takes four rounds on average at most, of four mixtures. */
static inline uint64_t permute(uint64_t i, uint64_t n, uint64_t key)
{
    const unsigned half = n > 4 ? (64u - (unsigned)__builtin_clzll(n - 1) + 1) / 2 : 1;
    const uint64_t mask = (1ull << half) - 1;

    do {
        uint64_t left = i >> half, right = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            const uint64_t next = left ^ (permute_mix(key + (round << 56 ^ right)) & mask);
            left = right;
            right = next;
        }
        i = left << half | right;
    } while (i >= n);
    return i;
}

#endif
