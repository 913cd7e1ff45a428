/* SPDX-License-Identifier: MIT
 *
 * The core's own tables: image and direct map, and what is added to it. docs/architecture.md, "Address
 * space".
 */
#ifndef TITHE_X86_HOST_MAP_H
#define TITHE_X86_HOST_MAP_H

#include "boot/boot_info.h"
#include "mem/pt.h"

/* The core half of every address space is below this address of `host_pt`. */
#define CORE_HALF_START 0xffff800000000000ull
#define CORE_HALF_BYTES 0x0000800000000000ull

extern struct pt host_pt;

/* Builds the tables and switches this CPU to them. Frames come from below 4 GiB only. */
void host_map_init(const struct boot_info *boot);
/* Control-register bits of a CPU that runs on them. */
void host_map_cpu_init(void);

/* New stacks, laid out as boot_stacks, with nothing mapped where the guard pages are; `which` tells them apart, from 0.
 * Never freed. NULL: no memory. */
const char *host_map_stacks(uint32_t which);

/* Physical memory that is not RAM of the frame table (tables of firmware): readable at its place in the
 * direct map from now on. NULL: no memory for tables, or not an address. */
const void *host_map_firmware(hpa_t hpa, uint64_t bytes);
/* Device registers, uncached, likewise. */
volatile void *host_map_device(hpa_t hpa, uint64_t bytes);

#endif
