// SPDX-License-Identifier: MIT
// What the loader said, copied out so that all other memory is free for workloads.
#ifndef MITE_BOOT_H
#define MITE_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#define COMMAND_LINE_BYTES 16384
#define RAM_RANGES         32

// Page-aligned, inside the first 4 GiB.
struct ram_range {
    uint32_t base;
    uint32_t page_count;
};

struct boot {
    char command_line[COMMAND_LINE_BYTES];
    char module[COMMAND_LINE_BYTES]; // the first module's bytes, ended by NUL
    struct ram_range ram[RAM_RANGES];
    uint32_t ram_count;
};

// False if `magic` is not a Multiboot loader's. A command line or a module too long is cut.
bool boot_read(uint32_t magic, const void *info, struct boot *boot);

#endif
