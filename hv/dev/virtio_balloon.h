/* SPDX-License-Identifier: MIT
 *
 * The traditional memory balloon device (virtio 1.2 5.5), with its statistics queue and free page reporting.
 */
#ifndef TITHE_DEV_VIRTIO_BALLOON_H
#define TITHE_DEV_VIRTIO_BALLOON_H

#include "tithe/abi.h"
#include "tithe/types.h"

#define VIRTIO_ID_BALLOON 5u

#define VIRTIO_BALLOON_F_MUST_TELL_HOST (1ull << 0)
#define VIRTIO_BALLOON_F_STATS_VQ       (1ull << 1)
#define VIRTIO_BALLOON_F_DEFLATE_ON_OOM (1ull << 2)
#define VIRTIO_BALLOON_F_PAGE_POISON    (1ull << 4)
#define VIRTIO_BALLOON_F_PAGE_REPORTING (1ull << 5)

/* PFNs handed to the core in one go: Linux sends 256 in one message. */
#define BALLOON_BATCH     1024u
/* PFNs worked on per notification; the rest waits for the next platform_poll. */
#define BALLOON_WORK_PFNS 16384u

/* Reported pages worked on per notification, and in one message at most: Linux has up to 32 blocks of 4 MiB in one. */
#define BALLOON_REPORT_PAGES 32768u

/* Pages that the guest says are free. */
struct balloon_range {
    uint64_t gfn, count;
};

struct virtio_mmio;
struct virtio_device;

struct virtio_balloon {
    uint32_t num_pages; /* asked of the guest: pages in the balloon */
    uint32_t actual;    /* what the driver says it holds */
    bool driver_up;     /* DRIVER_OK seen since the last reset */
    bool stats_held;    /* the driver's statistics buffer is here */
    uint16_t stats_head;
    struct tithe_guest_stats stats;
    uint64_t inflated_pfns, deflated_pfns; /* that the core took, ever */
    uint64_t messages;                     /* ever */
    uint32_t poison;         /* what the guest fills its free pages with; it counts on finding that */
    uint64_t reported_pages; /* that the core took, ever */
    uint32_t pfns[BALLOON_BATCH];
};

extern const struct virtio_device virtio_balloon_device;

void virtio_balloon_init(struct virtio_balloon *b);
/* Pages that shall be in the balloon; tells the driver if that changes. */
void virtio_balloon_target(struct virtio_balloon *b, struct virtio_mmio *t, uint64_t pages);
/* Gives the statistics buffer back, so that the driver fills it anew. */
void virtio_balloon_poll_stats(struct virtio_balloon *b, struct virtio_mmio *t);

#endif
