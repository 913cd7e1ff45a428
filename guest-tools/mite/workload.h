// SPDX-License-Identifier: MIT
// The memory workloads. Each prints its report line.
#ifndef MITE_WORKLOAD_H
#define MITE_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "pages.h"

#define PAGES_ALL UINT32_MAX

struct pace {
    uint32_t pages_per_second; // 0: as fast as it goes
};

// How long touch waits for the balloon to give pages back when it finds none.
void workload_patience_us(uint64_t us);

// Writes `page_count` pages that held nothing. Fewer if there are no more.
void workload_touch(uint32_t page_count, enum page_kind kind, struct pace pace);

// Reads, or writes anew, the lowest held pages.
void workload_read(uint32_t page_count, struct pace pace);
void workload_rewrite(uint32_t page_count, struct pace pace);

// Writes anew about that part of the held pages, picked at random.
void workload_rewrite_part(uint32_t millionths);

// Writes single held pages picked at random.
void workload_random(uint64_t write_count);

// Makes the highest held pages free.
void workload_free(uint32_t page_count);

// Checks every held page. Exits mite if one is wrong.
void workload_verify(void);

// Changes one word of the lowest held page, so that one can see verify find it.
void workload_spoil(void);

// Prints the counts, and starts a new working set.
void workload_report(void);

#endif
