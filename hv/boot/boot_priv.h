/* SPDX-License-Identifier: MIT
 *
 * Between the files of boot/.
 */
#ifndef TITHE_BOOT_BOOT_PRIV_H
#define TITHE_BOOT_BOOT_PRIV_H

#include "boot/boot_info.h"

extern struct boot_info boot_info;

/* Fill boot_info from what the loader left at `info`. NULL, or what is wrong with it. */
const char *multiboot2_read(uint32_t info);
const char *pvh_read(uint32_t info);

/* The early tables map this much, and loaders put all that matters below it. */
#define EARLY_LIMIT (4 * GIB)
/* Loader data at [hpa, hpa + bytes) as the core sees it; NULL when it does not lie whole in the early map. */
const void *boot_data(uint64_t hpa, uint64_t bytes);
/* Copies a loader's text, cut to fit. */
void boot_cmdline_set(const char *text, size_t limit);

/* ---- memory map (memmap.c, also built for the host's tests) ---- */

/* Takes one entry as the firmware gave it. False: there are too many. */
MUST_CHECK bool memmap_add(uint64_t start, uint64_t bytes, enum boot_mem_type type);
/* An E820 type (ACPI 15.1). */
enum boot_mem_type memmap_type(uint32_t e820_type);
/* Sorts out what was added into boot_info.mem. NULL, or what is wrong. */
const char *memmap_finish(void);

/* ---- ACPI root pointer ---- */

/* Takes rsdt and xsdt from a root pointer (ACPI 5.2.5.3) of which `bytes` bytes can be read. False: it is
 * none. */
bool boot_rsdp_take(const void *rsdp, size_t bytes);
/* Looks for one where a BIOS leaves it. */
void boot_rsdp_scan(void);

/* ---- from boot_info to a running core ---- */

/* Frame table, final tables. Panics or stops with a message when there is too little memory. */
void boot_memory(void);

_Noreturn void boot_start(bool multiboot2, uint32_t info);

#endif
