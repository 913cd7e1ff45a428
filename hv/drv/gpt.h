/* SPDX-License-Identifier: MIT
 *
 * GUID partition tables (UEFI 2.10, 5.3), read from sectors that somebody else wrote: every field is checked before it is
 * used. No device, no memory of its own.
 */
#ifndef TITHE_DRV_GPT_H
#define TITHE_DRV_GPT_H

#include "tithe/abi.h"
#include "tithe/types.h"

#define GPT_SECTOR_BYTES      512u
#define GPT_ENTRIES_BYTES_MAX 16384u /* what UEFI reserves at least, and all tools make */

/* Partitions of this type are Tithe's to overwrite: 0EB00D6F-6F6A-455F-A7C8-23FB488147A7, as it is on the disk. */
extern const uint8_t gpt_tithe_swap[16];

struct gpt {
    uint64_t first_usable, last_usable;
    uint64_t entries_at; /* sector of the first entry */
    uint32_t entry_count;
    uint32_t entry_bytes;
    uint32_t entries_crc;
};

/* Sector 0 says that the disk belongs to a GPT. Without that an old table may be left over from earlier days. */
bool gpt_protected(const uint8_t *sector);
/* The header that was read from sector `at` of a disk of so many sectors. NULL, or what is wrong with it. */
const char *gpt_header(const uint8_t *sector, uint64_t at, uint64_t disk_sectors, struct gpt *out);
/* Sectors that the entries fill: at most GPT_ENTRIES_BYTES_MAX bytes. */
uint32_t gpt_entry_sectors(const struct gpt *gpt);
/* The entries, gpt_entry_sectors of them. Fills in the first TITHE_DISK_PARTITIONS_MAX partitions. NULL, or what is wrong: then
 * there are none. */
const char *gpt_entries(const struct gpt *gpt, const uint8_t *entries, struct tithe_disk *disk);

#endif
