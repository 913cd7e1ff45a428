/* SPDX-License-Identifier: MIT
 *
 * Between the files that make up the disks.
 */
#ifndef TITHE_DRV_DISK_PRIV_H
#define TITHE_DRV_DISK_PRIV_H

#include "drv/disk.h"
#include "lib/lock.h"

/* LOCK_DISK: queues, controllers, counters. */
extern struct lock disk_lock;
/* With the lock held, at boot: a new disk of this name, model and size; its index, or DISKS_MAX when there is no room. */
uint32_t disk_add(const char *name, const char *model, uint64_t sectors);
/* With the lock held: the request is over; its `done` is called from the loop. */
void disk_finished(struct disk_request *request, enum disk_status status);
/* With the lock held: a try failed, and another is made. */
void disk_retried(uint32_t disk);
/* Reads what partitions a disk has into *disk. */
void disk_scan(struct tithe_disk *disk);
/* Debug builds, with `disk-test` on the command line: tries the partitions that are Tithe's own. */
void disk_test(void);

#endif
