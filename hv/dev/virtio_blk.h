/* SPDX-License-Identifier: MIT
 *
 * A disk for a guest: the block device (virtio 1.2 5.2). Requests are checked and cut into pieces of pages here; what moves the data
 * is behind platform_ops, and takes its time.
 */
#ifndef TITHE_DEV_VIRTIO_BLK_H
#define TITHE_DEV_VIRTIO_BLK_H

#include "tithe/types.h"

#define VIRTIO_ID_BLOCK 2u

#define VIRTIO_BLK_F_SIZE_MAX (1ull << 1)
#define VIRTIO_BLK_F_SEG_MAX  (1ull << 2)
#define VIRTIO_BLK_F_FLUSH    (1ull << 9)

#define BLK_SECTOR_BYTES 512u
/* Under way at once; the rest waits in the guest's ring. */
#define BLK_REQUESTS     8u
/* Of one request. What drivers are told to keep to (31 segments of a page each, 2 pieces where they are not aligned) is less. */
#define BLK_PIECES_MAX   64u
#define BLK_SECTORS_MAX  256u
#define BLK_SEG_MAX      31u

/* virtio 1.2 5.2.6 */
enum blk_op { BLK_READ = 0, BLK_WRITE = 1, BLK_FLUSH = 4 };
enum blk_result { BLK_OK = 0, BLK_IO_ERROR = 1, BLK_UNSUPPORTED = 2 };

/* A part of one page of the guest; both even. */
struct blk_piece {
    gpa_t gpa;
    uint32_t bytes;
};

enum blk_state {
    BLK_FREE = 0,
    BLK_WAITING, /* for memory */
    BLK_BUSY,    /* between disk_start and virtio_blk_done */
    BLK_ENDED,   /* to be given back */
};

struct blk_request {
    enum blk_state state;
    enum blk_op op;
    enum blk_result result;
    uint32_t epoch;
    uint16_t head;
    uint16_t count; /* pieces: whole sectors in all; none for a flush */
    uint64_t sector;
    uint32_t bytes;
    gpa_t status_gpa;
    struct blk_piece piece[BLK_PIECES_MAX];
};

enum blk_start {
    BLK_STARTED, /* virtio_blk_done follows */
    BLK_LATER,   /* there is no memory for it just now: nothing was done */
    BLK_FAILED,
};

struct virtio_mmio;
struct virtio_device;

struct virtio_blk {
    uint64_t sectors;
    uint32_t epoch;            /* grows with every reset: older requests are not given back any more */
    uint32_t busy;             /* requests, of whatever epoch */
    uint64_t requests, errors; /* ever */
    struct blk_request request[BLK_REQUESTS];
};

extern const struct virtio_device virtio_blk_device;

void virtio_blk_init(struct virtio_blk *b, uint64_t sectors);
/* A request that disk_start took has ended; the device's lock is held. */
void virtio_blk_done(struct virtio_mmio *t, struct blk_request *r, bool ok, uint64_t now_ns);

#endif
