// SPDX-License-Identifier: MIT
// Prints what a Multiboot loader hands over, and checks what it promises (Multiboot 0.6.96, 3.2, 3.3).
#include <stdbool.h>

#include "console.h"
#include "cpu.h"
#include "multiboot.h"
#include "trap.h"

#define MODULE_BYTES_SHOWN 256

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info);

static bool good = true;

static void expect(bool condition, const char *what)
{
    if (condition) return;
    say("mbinfo: FAIL %s\n", what);
    good = false;
}

// FNV-1a, 32 bits.
static uint32_t hash(const uint8_t *at, uint32_t size_bytes)
{
    uint32_t value = 0x811C9DC5;
    for (uint32_t i = 0; i < size_bytes; i++) value = (value ^ at[i]) * 0x01000193;
    return value;
}

static void print_memory_map(const struct multiboot_info *info)
{
    uint32_t at = info->memory_map;
    uint64_t available_bytes = 0;
    while (at < info->memory_map + info->memory_map_bytes) {
        const struct multiboot_memory *entry = (const void *)at;
        expect(entry->entry_bytes >= sizeof *entry - 4, "memory map entry too short");
        say("mbinfo: mmap base=0x%llx length=0x%llx type=%u\n", entry->base, entry->length_bytes,
            entry->type);
        if (entry->type == MULTIBOOT_MEMORY_AVAILABLE) available_bytes += entry->length_bytes;
        at += entry->entry_bytes + 4;
    }
    say("mbinfo: available_kib=%llu\n", available_bytes >> 10);
    expect(available_bytes > 0, "no available memory");
}

static void print_module(uint32_t number, const struct multiboot_module *module)
{
    const uint8_t *at = (const uint8_t *)module->start;
    uint32_t size_bytes = module->end - module->start;
    say("mbinfo: module %u start=0x%x bytes=%u fnv1a=0x%x string=\"%s\"\n", number, module->start, size_bytes,
        hash(at, size_bytes), module->string ? (const char *)module->string : "");
    // This kernel's header asks for page alignment.
    expect(module->start % 4096 == 0, "module not aligned to a page");
    say("mbinfo: module %u text=\"", number);
    for (uint32_t i = 0; i < size_bytes && i < MODULE_BYTES_SHOWN; i++)
        console_byte(at[i] >= 0x20 && at[i] < 0x7F && at[i] != '"' ? (char)at[i] : '.');
    say("\"\n");
}

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info)
{
    console_init();
    trap_init();
    say("mbinfo: magic=0x%x flags=0x%x\n", magic, info->flags);
    expect(magic == MULTIBOOT_LOADER_MAGIC, "magic");
    expect((info->flags & MULTIBOOT_HAS_MEMORY) != 0, "no memory size, which the header asks for");
    say("mbinfo: lower_kib=%u upper_kib=%u\n", info->lower_kib, info->upper_kib);
    if (info->flags & MULTIBOOT_HAS_COMMAND_LINE)
        say("mbinfo: command_line=\"%s\"\n", (const char *)info->command_line);
    if (info->flags & MULTIBOOT_HAS_MEMORY_MAP) print_memory_map(info);
    uint32_t module_count = info->flags & MULTIBOOT_HAS_MODULES ? info->module_count : 0;
    say("mbinfo: modules=%u\n", module_count);
    for (uint32_t i = 0; i < module_count; i++)
        print_module(i, (const struct multiboot_module *)info->modules + i);
    say("mbinfo: %s\n", good ? "PASS" : "FAIL");
    machine_exit(good ? 0 : 1);
}
