/* SPDX-License-Identifier: MIT
 *
 * The memory map: what firmware says, in any order, overlapping and unaligned, made into ascending ranges of
 * whole pages. Where entries overlap the more cautious one wins.
 */
#include "boot/boot_priv.h"

/* Real firmware gives up to about 200. */
#define RAW_MAX 256u

static struct boot_mem raw[RAW_MAX];
static size_t raw_count;

enum boot_mem_type memmap_type(uint32_t e820_type)
{
    switch (e820_type) {
    case 1: return BOOT_MEM_RAM;
    case 3: return BOOT_MEM_ACPI; /* reclaimable: the tables */
    case 4: return BOOT_MEM_ACPI; /* NVS: tables point into it */
    default: return BOOT_MEM_RESERVED;
    }
}

bool memmap_add(uint64_t start, uint64_t bytes, enum boot_mem_type type)
{
    uint64_t end;

    if (__builtin_add_overflow(start, bytes, &end)) end = UINT64_MAX;
    if (type == BOOT_MEM_RAM) {
        if (start > UINT64_MAX - PAGE_BYTES) return true;
        start = (start + PAGE_BYTES - 1) & PAGE_MASK;
        end &= PAGE_MASK;
    } else {
        start &= PAGE_MASK;
        end = end > UINT64_MAX - PAGE_BYTES ? PAGE_MASK : (end + PAGE_BYTES - 1) & PAGE_MASK;
    }
    if (start >= end) return true;
    if (raw_count == RAW_MAX) return false;
    raw[raw_count++] = (struct boot_mem){.start = start, .end = end, .type = type};
    return true;
}

/* The most cautious type said of [at, ...), 0 when nothing is; *until is where that may change. */
static enum boot_mem_type type_at(hpa_t at, hpa_t *until)
{
    enum boot_mem_type type = 0;

    *until = UINT64_MAX;
    for (size_t i = 0; i < raw_count; i++) {
        if (raw[i].start > at) {
            if (raw[i].start < *until) *until = raw[i].start;
        } else if (raw[i].end > at) {
            if (raw[i].end < *until) *until = raw[i].end;
            if (raw[i].type > type) type = raw[i].type;
        }
    }
    return type;
}

const char *memmap_finish(void)
{
    struct boot_info *info = &boot_info;
    hpa_t next;

    info->mem_count = 0;
    for (hpa_t at = 0; at != UINT64_MAX; at = next) {
        enum boot_mem_type type = type_at(at, &next);
        if (type == 0) continue;
        struct boot_mem *last = info->mem_count > 0 ? &info->mem[info->mem_count - 1] : NULL;
        if (last != NULL && last->end == at && last->type == type) {
            last->end = next;
            continue;
        }
        if (info->mem_count == BOOT_MEM_MAX) return "the memory map has too many ranges";
        info->mem[info->mem_count++] = (struct boot_mem){.start = at, .end = next, .type = type};
    }
    raw_count = 0;
    return info->mem_count > 0 ? NULL : "the boot loader gave no memory map";
}
