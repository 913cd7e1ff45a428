/* SPDX-License-Identifier: MIT
 *
 * A page made smaller, and back: LZ4. On the machine by x86/lz4.c; tests on the build host bring their own.
 */
#ifndef TITHE_MEM_PAGE_CODEC_H
#define TITHE_MEM_PAGE_CODEC_H

#include "tithe/types.h"

/* LZ4 tells no page in fewer bytes than this: a byte for every 255 of a match. */
#define PAGE_CODEC_LEAST 16u

/* Returns how many bytes it wrote to `out`, at most `room`; 0: the page does not become so small. Boot CPU: it has one state. */
uint32_t page_compress(const void *page, void *out, uint32_t room);
/* Fills the page from `bytes` bytes. False: they are none that page_compress has made. Any CPU, whatever lock it holds; the
 * vector registers stay as they were. */
MUST_CHECK bool page_expand(const void *in, uint32_t bytes, void *page);

#endif
