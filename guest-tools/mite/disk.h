// SPDX-License-Identifier: MIT
// A virtio-blk driver (virtio 1.2, 5.2), polled, for held pages: they go to the disk and come back.
#ifndef MITE_DISK_H
#define MITE_DISK_H

#include "pages.h"
#include "virtio.h"

// Where Tithe's platform has it.
#define DISK_ADDRESS 0xD0001000U

#define SECTOR_BYTES 512U
#define PAGE_SECTORS (PAGE_BYTES / SECTOR_BYTES)

enum { DISK_READ = 0, DISK_WRITE = 1, DISK_FLUSH = 4 };

// Each request has its own descriptors: a header, pages, and a status.
#define DISK_SLOTS            3U
#define DISK_SLOT_PAGES       3U
#define DISK_SLOT_DESCRIPTORS (DISK_SLOT_PAGES + 2)

struct disk_header {
    uint32_t type, reserved;
    uint64_t sector;
};

struct disk_device {
    struct virtio virtio;
    struct virtqueue queue;
    struct disk_header header[DISK_SLOTS];
    uint8_t status[DISK_SLOTS];
    bool open;
    uint8_t spare[1024]; // baddisk:self has the device write up to here
};

extern struct disk_device disk;

// Finds the device and starts it, or resets it and starts it again. False without one.
bool disk_start(void);

// Memory that is moved, in one page.
struct disk_part {
    uint32_t address, bytes;
};

struct disk_part disk_page(uint32_t page);
// Asks for so many parts, at most DISK_SLOT_PAGES, without waiting.
void disk_offer(uint32_t slot, uint32_t type, uint64_t sector, const struct disk_part *parts, uint32_t count);
// Waits for the requests in slots 0 to `slots` - 1. Ends mite if the device reports an error, or does not answer.
void disk_await(uint32_t slots);
// Says why, and ends mite.
void disk_fail(const char *why, uint32_t status);

// Writes the first `page_count` held pages to the disk, spoils them, and reads them back, `rounds` times. Ends mite if the
// device reports an error, or does not answer; whether the data is what it was is for `verify` to say.
void disk_run(uint32_t page_count, uint32_t rounds);

#endif
