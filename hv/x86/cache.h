/* SPDX-License-Identifier: MIT */
#ifndef TITHE_X86_CACHE_H
#define TITHE_X86_CACHE_H

#include "tithe/types.h"

/* How many colours frames have in the last cache before memory: the frames that its sets hold side by side, a power of two up to
 * `most`; 1 when the CPU does not tell. Where slices of a cache are chosen by a hash of the address, it has fewer. */
uint32_t cache_colours(uint32_t most);

#endif
