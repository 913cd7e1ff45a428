/* SPDX-License-Identifier: MIT
 *
 * What the guest's kernel says about its memory.
 */
#ifndef MEMLOAD_MEMINFO_H
#define MEMLOAD_MEMINFO_H

#include <stdint.h>

struct meminfo {
    uint64_t total_kb, free_kb, available_kb;
    uint64_t min_free_kb; /* the kernel's own reserve */
};

struct meminfo meminfo_read(void);
void meminfo_print(void);

#endif
