/* SPDX-License-Identifier: MIT
 *
 * The host's disks: asynchronous reads and writes, straight from and to frames. What a disk says or returns is never trusted.
 */
#ifndef TITHE_DRV_DISK_H
#define TITHE_DRV_DISK_H

#include "tithe/abi.h"
#include "tithe/types.h"

#define DISK_SECTOR_BYTES    512u
#define DISK_REQUEST_SECTORS 256u /* the most one request moves: what every drive can do in one command */
#define DISK_SEGMENTS_MAX    64u
#define DISKS_MAX            4u

enum disk_status {
    DISK_OK = 0,
    DISK_PENDING,     /* on its way */
    DISK_NO_DISK,     /* there is none of this index, or it stopped answering for good */
    DISK_BAD_REQUEST, /* an odd offset or size, a segment that leaves its frame, too few or too many sectors */
    DISK_BEYOND_END,  /* not all of the sectors are on the disk */
    DISK_OUT_OF_REACH, /* a frame that the device cannot address: see disk_dma_limit */
    DISK_FAILED,       /* the device reported an error, twice */
    DISK_TIMED_OUT,    /* the device did not finish in time, twice */
};
const char *disk_status_text(enum disk_status status);

enum disk_op {
    DISK_READ,
    DISK_WRITE,
    DISK_FLUSH, /* what was written before is on the medium; without segments */
};

/* A part of one frame; offset and bytes are even. */
struct disk_segment {
    mfn_t mfn;
    uint32_t offset, bytes;
};

/* Belongs to the driver, segments and all, from disk_submit till `done`. */
struct disk_request {
    uint32_t disk;
    enum disk_op op;
    uint64_t sector;
    const struct disk_segment *segments; /* whole sectors in all */
    uint32_t segment_count;
    /* Called on the boot CPU, in its loop between two turns, with no lock held, never from disk_submit. `status` is the
     * outcome. The request may be submitted again or freed in it. */
    void (*done)(struct disk_request *request);

    enum disk_status status;
    uint32_t sectors; /* in all segments */
    struct disk_request *next;
};

/* Finds disks and partitions and says so in the log. Boot CPU, once, when interrupts and time work. Takes as long as the disks do,
 * within bounds. */
void disk_init(void);
/* DISK_OK: accepted; done will be called, however the disk fares. Anything else: refused, and nothing was done. From any CPU;
 * takes LOCK_DISK. Requests for the disks of one cable are carried out in the order in which they came. */
MUST_CHECK enum disk_status disk_submit(struct disk_request *request);
/* Submits, and waits: for the boot CPU while there is no loop yet. `done` is the driver's. */
MUST_CHECK enum disk_status disk_wait(struct disk_request *request);
/* Boot CPU, in its loop: looks after deadlines and calls what is done. Returns when to come again at the latest. */
uint64_t disk_poll(uint64_t now_ns);
/* The first frame that devices cannot address: 4 GiB for IDE bus masters, or lower by the boot option disk_dma_limit_mib. */
mfn_t disk_dma_limit(void);
/* Fills in everything about the disk at disk->index. False: there is none. */
MUST_CHECK bool disk_describe(struct tithe_disk *disk);

/* How often somebody had to wait for LOCK_DISK. */
uint64_t disk_contended(void);

#endif
