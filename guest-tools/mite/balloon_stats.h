// SPDX-License-Identifier: MIT
#ifndef MITE_BALLOON_STATS_H
#define MITE_BALLOON_STATS_H

#include "virtio.h"

// Fills the statistics buffer with the current numbers and hands it to the device, which keeps it
// until it wants newer ones (virtio 1.2, 5.5.6.3).
void balloon_stats_offer(const struct virtio *device, struct virtqueue *queue);

#endif
