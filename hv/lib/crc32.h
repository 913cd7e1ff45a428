/* SPDX-License-Identifier: MIT
 *
 * CRC-32 as zlib, Ethernet and GPT have it (reflected polynomial 0xEDB88320). Bit by bit: for headers, not for bulk.
 */
#ifndef TITHE_LIB_CRC32_H
#define TITHE_LIB_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* Of `bytes` bytes, going on from `crc`: that of what came before, 0 at the start. */
uint32_t crc32_more(uint32_t crc, const void *data, size_t bytes);

#endif
