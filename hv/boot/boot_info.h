/* SPDX-License-Identifier: MIT
 *
 * What the boot loader told us, whichever it was: checked, copied out of its memory, and the same for all.
 */
#ifndef TITHE_BOOT_BOOT_INFO_H
#define TITHE_BOOT_BOOT_INFO_H

#include "tithe/types.h"

#define BOOT_MEM_MAX           256u
#define BOOT_CMDLINE_MAX_BYTES 1024u

enum boot_mem_type {
    BOOT_MEM_RAM = 1,  /* free for use */
    BOOT_MEM_ACPI,     /* ACPI tables: RAM that is kept, readable through the direct map */
    BOOT_MEM_RESERVED, /* firmware's or a device's */
};

/* [start, end), whole pages; RAM is rounded inwards, everything else outwards. */
struct boot_mem {
    hpa_t start;
    hpa_t end;
    enum boot_mem_type type;
};

struct boot_info {
    const char *machine; /* "multiboot2 bios", "multiboot2 uefi", "pvh" */
    char cmdline[BOOT_CMDLINE_MAX_BYTES];
    /* Ascending, without overlap, neighbours of one type merged. */
    struct boot_mem mem[BOOT_MEM_MAX];
    size_t mem_count;
    /* The module archive; kept by the core (FRAME_CORE), read it through the direct map. 0 bytes: there is
     * none. */
    hpa_t module;
    uint64_t module_bytes;
    /* ACPI root tables, 0 when there is none. */
    hpa_t rsdt;
    hpa_t xsdt;
};

/* The highest page of RAM below `below` and the first MiB's reserved part, not 0; 0: there is none. The core leaves this
 * memory alone, but for the first instructions of other CPUs. */
hpa_t boot_low_page(hpa_t below);

/* ---- the command line: words, some of them key=value ---- */

/* Finds the last word `name` or `name=value` in the boot command line. False: not there. Otherwise the value,
 * cut to `size` bytes with its NUL, is in `value` ("" for a bare word). */
bool boot_option(const char *name, char *value, size_t size);
/* The word is there, bare or with any value but 0. */
bool boot_flag(const char *name);
/* Value as a number: decimal or 0x hex, with an optional K, M or G (times 1024). `otherwise` when the option
 * is absent or no number (which is logged). */
uint64_t boot_option_u64(const char *name, uint64_t otherwise);

#endif
