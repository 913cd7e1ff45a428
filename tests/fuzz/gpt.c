/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: a GPT header and its entries. An input is a byte of flags (1: mend the header's CRC, 2: and that of the entries, so
 * that what is behind them is reached), four bytes that say how many sectors the disk has, the header's sector, and the entries.
 * What is accepted must keep what drv/gpt.h promises.
 *
 * With libFuzzer:  make build/tests/fuzz/gpt && build/tests/fuzz/gpt -max_len=17000 tests/fuzz/gpt_corpus
 * In the host tier the kept corpus and damaged copies of it are replayed under sanitizers (gpt_replay.c).
 */
#include "drv/gpt.h"
#include "lib/crc32.h"

#include <stdlib.h>
#include <string.h>

#define FLAG_BYTES 5u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool so)
{
    if (!so) abort();
}

static void check_partitions(const struct gpt *gpt, const struct tithe_disk *d)
{
    check(d->partition_count <= TITHE_DISK_PARTITIONS_MAX);
    for (uint32_t i = 0; i < d->partition_count; i++) {
        const struct tithe_partition *p = &d->partition[i];
        check(p->sectors > 0 && p->first_sector >= gpt->first_usable && p->first_sector <= gpt->last_usable &&
              p->sectors - 1 <= gpt->last_usable - p->first_sector);
        check(p->number >= 1 && p->number <= gpt->entry_count && p->swap <= 1);
        check(memchr(p->name, '\0', sizeof p->name) != NULL);
        for (const char *c = p->name; *c != '\0'; c++) check(*c >= ' ' && *c <= '~');
        for (uint32_t j = 0; j < i; j++) {
            const struct tithe_partition *q = &d->partition[j];
            check(p->first_sector >= q->first_sector + q->sectors ||
                  q->first_sector >= p->first_sector + p->sectors);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sector[GPT_SECTOR_BYTES];
    uint32_t disk_sectors, bytes, crc;
    struct gpt gpt;

    if (size < FLAG_BYTES + GPT_SECTOR_BYTES) return 0;
    memcpy(&disk_sectors, data + 1, 4);
    memcpy(sector, data + FLAG_BYTES, sizeof sector);
    (void)gpt_protected(sector);
    if (data[0] & 1) {
        memcpy(&bytes, sector + 12, 4);
        memset(sector + 16, 0, 4);
        crc = crc32_more(0, sector, bytes <= sizeof sector ? bytes : sizeof sector);
        memcpy(sector + 16, &crc, 4);
    }
    if (gpt_header(sector, 1, disk_sectors, &gpt) != NULL) return 0;
    const uint32_t sectors = gpt_entry_sectors(&gpt);
    check(sectors >= 1 && sectors * GPT_SECTOR_BYTES <= GPT_ENTRIES_BYTES_MAX);
    check(gpt.last_usable < disk_sectors && gpt.first_usable <= gpt.last_usable && gpt.first_usable > 1);
    check(gpt.entries_at >= 2 && gpt.entries_at + sectors <= disk_sectors);

    /* In a block of its own, so that reads past it are seen. */
    uint8_t *entries = calloc(sectors, GPT_SECTOR_BYTES);
    struct tithe_disk *disk = calloc(1, sizeof *disk);
    size_t rest = size - FLAG_BYTES - GPT_SECTOR_BYTES;
    check(entries != NULL && disk != NULL);
    if (rest > sectors * GPT_SECTOR_BYTES) rest = sectors * GPT_SECTOR_BYTES;
    memcpy(entries, data + FLAG_BYTES + GPT_SECTOR_BYTES, rest);
    if (data[0] & 2) gpt.entries_crc = crc32_more(0, entries, (size_t)gpt.entry_bytes * gpt.entry_count);
    if (gpt_entries(&gpt, entries, disk) == NULL)
        check_partitions(&gpt, disk);
    else
        check(disk->partition_count == 0);
    free(entries);
    free(disk);
    return 0;
}
