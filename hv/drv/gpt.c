/* SPDX-License-Identifier: MIT */
#include "drv/gpt.h"

#include "lib/crc32.h"
#include "lib/string.h"

#define MBR_TYPES        450u /* of the first of four records */
#define MBR_RECORD_BYTES 16u
#define MBR_TYPE_GPT     0xee
#define HEADER_BYTES_MIN 92u
#define HEADER_CRC       16u
#define ENTRY_BYTES_UNIT 128u
#define ENTRY_NAME_CHARS 36u

const uint8_t gpt_tithe_swap[16] = {0x6f, 0x0d, 0xb0, 0x0e, 0x6a, 0x6f, 0x5f, 0x45,
                                    0xa7, 0xc8, 0x23, 0xfb, 0x48, 0x81, 0x47, 0xa7};

/* UEFI 2.10 table 5-5. */
struct header {
    uint8_t signature[8];
    uint32_t revision, header_bytes, header_crc, reserved;
    uint64_t my_sector, other_sector, first_usable, last_usable;
    uint8_t guid[16];
    uint64_t entries_at;
    uint32_t entry_count, entry_bytes, entries_crc;
} __attribute__((packed));

/* Table 5-6. */
struct entry {
    uint8_t type[16], guid[16];
    uint64_t first, last, attributes;
    uint8_t name[2 * ENTRY_NAME_CHARS]; /* UTF-16 */
} __attribute__((packed));

bool gpt_protected(const uint8_t *sector)
{
    if (sector[510] != 0x55 || sector[511] != 0xaa) return false;
    for (unsigned i = 0; i < 4; i++)
        if (sector[MBR_TYPES + i * MBR_RECORD_BYTES] == MBR_TYPE_GPT) return true;
    return false;
}

static uint32_t header_crc(const uint8_t *sector, uint32_t bytes)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32_more(0, sector, HEADER_CRC);

    crc = crc32_more(crc, zero, sizeof zero);
    return crc32_more(crc, sector + HEADER_CRC + 4, bytes - HEADER_CRC - 4);
}

const char *gpt_header(const uint8_t *sector, uint64_t at, uint64_t disk_sectors, struct gpt *out)
{
    struct header h;

    memcpy(&h, sector, sizeof h);
    if (memcmp(h.signature, "EFI PART", 8) != 0) return "no header";
    if (h.header_bytes < HEADER_BYTES_MIN || h.header_bytes > GPT_SECTOR_BYTES)
        return "a header of a wrong size";
    if (header_crc(sector, h.header_bytes) != h.header_crc) return "a damaged header";
    if (h.my_sector != at) return "a header that belongs elsewhere";
    if (h.entry_bytes < ENTRY_BYTES_UNIT || (h.entry_bytes & (h.entry_bytes - 1)) != 0 ||
        h.entry_count == 0 || (uint64_t)h.entry_bytes * h.entry_count > GPT_ENTRIES_BYTES_MAX)
        return "entries of a size or number that is not supported";
    *out = (struct gpt){h.first_usable, h.last_usable, h.entries_at,
                        h.entry_count,  h.entry_bytes, h.entries_crc};
    if (h.first_usable > h.last_usable || h.last_usable >= disk_sectors ||
        (at >= h.first_usable && at <= h.last_usable))
        return "usable sectors that are not on the disk";
    const uint32_t count = gpt_entry_sectors(out);
    if (h.entries_at < 2 || h.entries_at >= disk_sectors || count > disk_sectors - h.entries_at ||
        (h.entries_at + count > h.first_usable && h.entries_at <= h.last_usable))
        return "entries that are not where they may be";
    return NULL;
}

uint32_t gpt_entry_sectors(const struct gpt *gpt)
{
    return (gpt->entry_bytes * gpt->entry_count + GPT_SECTOR_BYTES - 1) / GPT_SECTOR_BYTES;
}

/* Entry `i`; false: it is not in use. */
static bool entry_at(const struct gpt *gpt, const uint8_t *entries, uint32_t i, struct entry *e)
{
    static const uint8_t unused[16];

    memcpy(e, entries + (size_t)i * gpt->entry_bytes, sizeof *e);
    return memcmp(e->type, unused, sizeof unused) != 0;
}

static const char *check_entries(const struct gpt *gpt, const uint8_t *entries)
{
    struct entry a, b;

    for (uint32_t i = 0; i < gpt->entry_count; i++) {
        if (!entry_at(gpt, entries, i, &a)) continue;
        if (a.first < gpt->first_usable || a.first > a.last || a.last > gpt->last_usable)
            return "a partition that is not within the usable sectors";
        for (uint32_t j = 0; j < i; j++)
            if (entry_at(gpt, entries, j, &b) && a.first <= b.last && b.first <= a.last)
                return "partitions that overlap";
    }
    return NULL;
}

static void copy_name(char *out, size_t size, const uint8_t *name)
{
    size_t n = 0;

    for (; n < ENTRY_NAME_CHARS && n < size - 1; n++) {
        const unsigned c = name[2 * n] | (unsigned)name[2 * n + 1] << 8;
        if (c == 0) break;
        out[n] = c >= ' ' && c <= '~' ? (char)c : '?';
    }
    out[n] = '\0';
}

const char *gpt_entries(const struct gpt *gpt, const uint8_t *entries, struct tithe_disk *disk)
{
    struct entry e;

    disk->partition_count = 0;
    if (crc32_more(0, entries, (size_t)gpt->entry_bytes * gpt->entry_count) != gpt->entries_crc)
        return "damaged entries";
    const char *why = check_entries(gpt, entries);
    if (why != NULL) return why;
    for (uint32_t i = 0; i < gpt->entry_count && disk->partition_count < TITHE_DISK_PARTITIONS_MAX; i++) {
        if (!entry_at(gpt, entries, i, &e)) continue;
        struct tithe_partition *p = &disk->partition[disk->partition_count++];
        *p = (struct tithe_partition){
            .first_sector = e.first, .sectors = e.last - e.first + 1, .number = i + 1};
        memcpy(p->type, e.type, sizeof p->type);
        p->swap = memcmp(e.type, gpt_tithe_swap, sizeof e.type) == 0;
        copy_name(p->name, sizeof p->name, e.name);
    }
    return NULL;
}
