/* SPDX-License-Identifier: MIT
 *
 * Which partitions a disk has: by its primary table or, when that is broken, by the one at its end (UEFI 2.10, 5.3.2).
 */
#include "boot/layout.h"
#include "drv/disk_priv.h"
#include "drv/gpt.h"
#include "lib/log.h"

#define FRAMES (GPT_ENTRIES_BYTES_MAX / PAGE_BYTES)

static uint8_t buffer[GPT_ENTRIES_BYTES_MAX] __attribute__((aligned(PAGE_BYTES)));

/* NULL, or why not. */
static const char *read_sectors(uint32_t disk, uint64_t sector, uint32_t count)
{
    struct disk_segment segments[FRAMES];
    struct disk_request r = {.disk = disk, .op = DISK_READ, .sector = sector, .segments = segments};

    for (uint32_t bytes = count * DISK_SECTOR_BYTES, part; bytes > 0; bytes -= part) {
        const mfn_t mfn = (image_to_hpa(buffer) >> PAGE_SHIFT) + r.segment_count;
        part = bytes < PAGE_BYTES ? bytes : PAGE_BYTES;
        segments[r.segment_count++] = (struct disk_segment){mfn, 0, part};
    }
    const enum disk_status status = disk_wait(&r);
    return status == DISK_OK ? NULL : disk_status_text(status);
}

static const char *read_table(struct tithe_disk *disk, uint64_t at)
{
    struct gpt gpt;
    const char *why = read_sectors(disk->index, at, 1);

    if (why == NULL) why = gpt_header(buffer, at, disk->sectors, &gpt);
    if (why == NULL) why = read_sectors(disk->index, gpt.entries_at, gpt_entry_sectors(&gpt));
    return why == NULL ? gpt_entries(&gpt, buffer, disk) : why;
}

void disk_scan(struct tithe_disk *disk)
{
    const char *why = read_sectors(disk->index, 0, 1), *backup;

    if (why != NULL) {
        fmt_string(disk->table, sizeof disk->table, "unknown: %s", why);
    } else if (!gpt_protected(buffer)) {
        fmt_string(disk->table, sizeof disk->table, "no GPT");
    } else if ((why = read_table(disk, 1)) == NULL) {
        fmt_string(disk->table, sizeof disk->table, "GPT");
    } else if ((backup = read_table(disk, disk->sectors - 1)) == NULL) {
        fmt_string(disk->table, sizeof disk->table, "GPT, by its backup (primary: %s)", why);
    } else {
        fmt_string(disk->table, sizeof disk->table, "GPT refused (primary: %s; backup: %s)", why, backup);
    }
}
