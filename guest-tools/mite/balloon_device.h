// SPDX-License-Identifier: MIT
// The balloon's device as its driver sees it, for the driver and for those who misuse it.
#ifndef MITE_BALLOON_DEVICE_H
#define MITE_BALLOON_DEVICE_H

#include "virtio.h"

#define BALLOON_DEVICE_ID     5
#define BALLOON_CONFIG_TARGET VIRTIO_CONFIG
#define BALLOON_CONFIG_ACTUAL (VIRTIO_CONFIG + 4)
#define BALLOON_BATCH_PAGES   256

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATISTICS, QUEUES };

struct balloon_device {
    struct virtio virtio;
    struct virtqueue queues[QUEUES];
    uint32_t page_numbers[BALLOON_BATCH_PAGES];
    bool open;
};

extern struct balloon_device balloon;

// Resets the device and starts it again: everything in the balloon is mite's again, as fresh pages.
bool balloon_restart(void);

// Sends balloon.page_numbers on a queue and waits for them to come back. False if they do not.
bool balloon_send(uint32_t queue_number, uint32_t count);

#endif
