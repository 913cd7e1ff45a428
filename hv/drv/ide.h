/* SPDX-License-Identifier: MIT
 *
 * IDE disks at the legacy places of a PC, by bus-master DMA (ATA/ATAPI-6; Intel 82371SB data sheet 2.7, "Bus Master IDE").
 * All but ide_init needs LOCK_DISK.
 */
#ifndef TITHE_DRV_IDE_H
#define TITHE_DRV_IDE_H

#include "drv/disk.h"

/* Finds the controller and what is on its two cables; disk_add for each disk. ATAPI devices are left alone. */
void ide_init(void);
/* Takes a request that has been checked. DISK_OK, or DISK_NO_DISK when its cable has been given up. */
enum disk_status ide_queue(struct disk_request *request);
/* Looks after what is late. Returns when to come again at the latest. */
uint64_t ide_poll(uint64_t now_ns);

/* What a drive says of itself. */
struct ide_identity {
    char model[41];
    bool lba48;
    uint64_t sectors;
};
/* Of the 256 words of IDENTIFY DEVICE. NULL, or why we cannot use the drive. */
const char *ide_identify(const uint16_t *words, struct ide_identity *out);

#endif
