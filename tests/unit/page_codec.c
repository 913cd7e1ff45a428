/* SPDX-License-Identifier: MIT
 *
 * The same LZ4 that the core has, as programs call it.
 */
#include "mem/page_codec.h"

#include <lz4.h>

uint32_t page_compress(const void *page, void *out, uint32_t room)
{
    static LZ4_stream_t state;

    return (uint32_t)LZ4_compress_fast_extState(&state, page, out, PAGE_BYTES, (int)room, 1);
}

bool page_expand(const void *in, uint32_t bytes, void *page)
{
    return LZ4_decompress_safe(in, page, (int)bytes, PAGE_BYTES) == (int)PAGE_BYTES;
}
