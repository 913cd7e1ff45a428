// SPDX-License-Identifier: MIT
// What a Multiboot loader leaves for its kernel (Multiboot 0.6.96, 3.1 and 3.3).
#ifndef MITE_MULTIBOOT_H
#define MITE_MULTIBOOT_H

#define MULTIBOOT_HEADER_MAGIC     0x1BADB002
#define MULTIBOOT_LOADER_MAGIC     0x2BADB002
#define MULTIBOOT_WANT_PAGE_ALIGN  0x1
#define MULTIBOOT_WANT_MEMORY_INFO 0x2

#ifndef __ASSEMBLER__
#include <stdint.h>

enum {
    MULTIBOOT_HAS_MEMORY = 1U << 0,
    MULTIBOOT_HAS_COMMAND_LINE = 1U << 2,
    MULTIBOOT_HAS_MODULES = 1U << 3,
    MULTIBOOT_HAS_MEMORY_MAP = 1U << 6,
};

struct multiboot_info {
    uint32_t flags;
    uint32_t lower_kib;
    uint32_t upper_kib;
    uint32_t boot_device;
    uint32_t command_line;
    uint32_t module_count;
    uint32_t modules;
    uint32_t symbols[4];
    uint32_t memory_map_bytes;
    uint32_t memory_map;
};

struct multiboot_module {
    uint32_t start;
    uint32_t end;
    uint32_t string;
    uint32_t reserved;
};

// `entry_bytes` does not count itself: the next entry starts at that distance plus 4.
struct multiboot_memory {
    uint32_t entry_bytes;
    uint64_t base;
    uint64_t length_bytes;
    uint32_t type;
} __attribute__((packed));

#define MULTIBOOT_MEMORY_AVAILABLE 1U
#endif

#endif
