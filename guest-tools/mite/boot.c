// SPDX-License-Identifier: MIT
#include "boot.h"

#include "memory.h"
#include "multiboot.h"
#include "pages.h"

#define FOUR_GIB (1ULL << 32)

static void add_ram(struct boot *boot, uint64_t base, uint64_t length_bytes)
{
    uint64_t end = base + length_bytes;
    if (end < base || end > FOUR_GIB) end = FOUR_GIB;
    base = (base + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
    if (base >= end || end - base < PAGE_BYTES || boot->ram_count == RAM_RANGES) return;
    boot->ram[boot->ram_count++] = (struct ram_range){(uint32_t)base, (uint32_t)((end - base) / PAGE_BYTES)};
}

static void copy_text(char *to, uint32_t from, uint32_t length_bytes)
{
    if (length_bytes > COMMAND_LINE_BYTES - 1) length_bytes = COMMAND_LINE_BYTES - 1;
    memcpy(to, (const void *)from, length_bytes);
    to[length_bytes] = '\0';
}

bool boot_read(uint32_t magic, const void *info_at, struct boot *boot)
{
    if (magic != MULTIBOOT_LOADER_MAGIC) return false;
    const struct multiboot_info *info = info_at;
    if (info->flags & MULTIBOOT_HAS_COMMAND_LINE) {
        const char *text = (const char *)info->command_line;
        uint32_t length_bytes = 0;
        while (length_bytes < COMMAND_LINE_BYTES && text[length_bytes] != '\0') length_bytes++;
        copy_text(boot->command_line, info->command_line, length_bytes);
    }
    if ((info->flags & MULTIBOOT_HAS_MODULES) && info->module_count > 0) {
        const struct multiboot_module *module = (const void *)info->modules;
        if (module->end >= module->start) copy_text(boot->module, module->start, module->end - module->start);
    }
    if (info->flags & MULTIBOOT_HAS_MEMORY_MAP) {
        uint32_t at = info->memory_map;
        uint32_t end = at + info->memory_map_bytes;
        while (at < end) {
            const struct multiboot_memory *entry = (const void *)at;
            if (entry->type == MULTIBOOT_MEMORY_AVAILABLE) add_ram(boot, entry->base, entry->length_bytes);
            at += entry->entry_bytes + 4;
        }
    } else if (info->flags & MULTIBOOT_HAS_MEMORY) {
        add_ram(boot, 0x100000, (uint64_t)info->upper_kib * 1024);
    }
    return true;
}
