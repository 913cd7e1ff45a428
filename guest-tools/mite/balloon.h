// SPDX-License-Identifier: MIT
// A virtio-balloon driver (virtio 1.2, 5.5), polled. Pages come from the free ones, the highest
// first; held ones only as far as the script gives them.
#ifndef MITE_BALLOON_H
#define MITE_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

// Where Tithe's platform has it.
#define BALLOON_ADDRESS            0xD0000000U
#define BALLOON_RATE_PAGES_DEFAULT 65536U
#define BALLOON_RATE_UNLIMITED     0U

// Looks for the device and starts it. False if there is none, or it cannot be started.
bool balloon_open(uint32_t address);

bool balloon_present(void);

// Pages per second, moved either way.
void balloon_set_rate(uint32_t pages_per_second);

// Lets the balloon take up to so many held pages, whose data is lost, once there are no free ones.
void balloon_give(uint32_t page_count);

// Moves toward the target as the rate allows, and answers the statistics queue. A device that
// does not answer is given up, with a line to say so.
void balloon_service(void);

// One message of up to `count` (at most 256) pages into the balloon or out of it, whatever the target.
// Returns the pages moved, and in *ticks how long the device took.
uint32_t balloon_move(bool up, uint32_t count, uint64_t *ticks);

// The host's wish, read from the device; 0 without one.
uint32_t balloon_target(void);

// `mite: balloon actual_pages=... target_pages=...`
void balloon_print(void);

#endif
