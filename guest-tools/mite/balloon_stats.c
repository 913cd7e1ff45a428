// SPDX-License-Identifier: MIT
#include "balloon_stats.h"

#include "pages.h"

// virtio 1.2, 5.5.6.4.
enum {
    STATISTIC_SWAP_IN = 0,
    STATISTIC_SWAP_OUT = 1,
    STATISTIC_MAJOR_FAULTS = 2,
    STATISTIC_MINOR_FAULTS = 3,
    STATISTIC_FREE_BYTES = 4,
    STATISTIC_TOTAL_BYTES = 5,
    STATISTIC_AVAILABLE_BYTES = 6,
    STATISTIC_CACHE_BYTES = 7,
    STATISTICS = 8,
};

struct statistic {
    uint16_t tag;
    uint64_t value;
} __attribute__((packed));

static struct statistic statistics[STATISTICS];

void balloon_stats_offer(const struct virtio *device, struct virtqueue *queue)
{
    uint64_t free_bytes = (uint64_t)pages_available() * PAGE_BYTES;
    uint64_t total_pages = pages_managed() - pages_count(PAGE_BALLOONED);
    for (uint16_t tag = 0; tag < STATISTICS; tag++) statistics[tag] = (struct statistic){tag, 0};
    statistics[STATISTIC_FREE_BYTES].value = free_bytes;
    statistics[STATISTIC_TOTAL_BYTES].value = total_pages * PAGE_BYTES;
    statistics[STATISTIC_AVAILABLE_BYTES].value = free_bytes;
    queue->descriptors[0] = (struct descriptor){(uint32_t)statistics, (uint32_t)sizeof statistics, 0, 0};
    virtqueue_offer(device, queue, 0);
}
