/* SPDX-License-Identifier: MIT */
#include "boot/layout.h"
#include "lib/string.h"
#include "x86/symbols.h"

extern const uint32_t symbol_low[]; /* low halves of addresses, ascending: the image is in the last 2 GiB */
extern const uint32_t symbol_count;
extern const char symbol_names[]; /* one after the other, in the same order */

const char *symbol_find(uint64_t address, uint64_t *offset)
{
    uint32_t low = (uint32_t)address, n = 0;

    if (address < (uint64_t)(uintptr_t)text_start || address >= (uint64_t)(uintptr_t)text_end) return NULL;
    while (n < symbol_count && symbol_low[n] <= low) n++;
    if (n == 0) return NULL;
    *offset = low - symbol_low[n - 1];

    const char *name = symbol_names;
    for (uint32_t i = 0; i < n - 1; i++) name += strlen(name) + 1;
    return name;
}
