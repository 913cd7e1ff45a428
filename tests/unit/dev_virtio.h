/* SPDX-License-Identifier: MIT
 *
 * A little virtio driver for tests: rings at fixed places, balloon queues 0 inflate, 1 deflate, 2 statistics, 3 reporting.
 */
#ifndef TITHE_TESTS_DEV_VIRTIO_H
#define TITHE_TESTS_DEV_VIRTIO_H

#include "dev_machine.h"

#define RING_SIZE       16u
#define DESC(queue)     (0x10000u + 0x3000u * (queue))
#define AVAIL(queue)    (DESC(queue) + 0x1000u)
#define USED(queue)     (DESC(queue) + 0x2000u)
#define BUFFER          0x40000u
#define DRIVER_FEATURES (7 | VIRTIO_F_VERSION_1)

#define reg_read(offset)         read32(VIRTIO_MMIO_BASE + (offset))
#define reg_write(offset, value) write32(VIRTIO_MMIO_BASE + (offset), (value))

#define BLK_MMIO_BASE (VIRTIO_MMIO_BASE + VIRTIO_MMIO_BYTES)
#define BLK_QUEUE     4u /* where its only queue is, as the other device has 0 to 3 */

/* From reset to DRIVER_OK with all four queues. */
void driver_start(uint64_t features);
/* The same for the disk. Its queue is emptied. */
void blk_driver_start(void);
void descriptor(unsigned queue, unsigned index, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next);
void make_available(unsigned queue, uint16_t head);
void notify_queue(unsigned queue);
uint16_t used_index(unsigned queue);

#endif
