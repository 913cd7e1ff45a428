// SPDX-License-Identifier: MIT
// A virtio-balloon driver (virtio 1.2, 5.5) over virtio-mmio version 2 (4.2), polled.
#ifndef MITE_BALLOON_H
#define MITE_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

bool balloon_present(void);

// Moves toward the target as the rate allows, and answers the statistics queue.
void balloon_service(void);

#endif
