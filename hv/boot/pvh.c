/* SPDX-License-Identifier: MIT
 *
 * PVH start information (Xen, include/public/arch-x86/hvm/start_info.h), as QEMU's -kernel gives it.
 */
#include "boot/boot_priv.h"
#include "lib/log.h"

#define START_INFO_MAGIC 0x336ec578u

/* Packed: a hostile loader may put them at any address. */
struct start_info {
    uint32_t magic;
    uint32_t version;
    uint32_t flags;
    uint32_t module_count;
    uint64_t modules;
    uint64_t cmdline;
    uint64_t rsdp;
    /* From version 1 on: */
    uint64_t memmap;
    uint32_t memmap_count;
    uint32_t reserved;
} __attribute__((packed));

struct module_entry {
    uint64_t start;
    uint64_t bytes;
    uint64_t cmdline;
    uint64_t reserved;
} __attribute__((packed));

struct memmap_entry {
    uint64_t start;
    uint64_t bytes;
    uint32_t type; /* as E820 */
    uint32_t reserved;
} __attribute__((packed));

static const char *read_memmap(const struct start_info *start)
{
    const struct memmap_entry *map = boot_data(start->memmap, (uint64_t)start->memmap_count * sizeof *map);

    if (start->version < 1) return "PVH: start information of version 0 has no memory map";
    if (map == NULL) return "PVH: the memory map is out of reach";
    for (uint32_t i = 0; i < start->memmap_count; i++)
        if (!memmap_add(map[i].start, map[i].bytes, memmap_type(map[i].type)))
            return "PVH: the memory map has too many entries";
    return NULL;
}

static void read_cmdline(uint64_t at)
{
    if (at == 0 || at >= EARLY_LIMIT) return;
    uint64_t limit = EARLY_LIMIT - at;
    if (limit > BOOT_CMDLINE_MAX_BYTES) limit = BOOT_CMDLINE_MAX_BYTES;
    const char *text = boot_data(at, limit);
    if (text != NULL) boot_cmdline_set(text, limit);
}

const char *pvh_read(uint32_t info)
{
    const struct start_info *start = boot_data(info, sizeof *start);

    boot_info.machine = "pvh";
    if (start == NULL || start->magic != START_INFO_MAGIC)
        return "started neither by Multiboot2 nor by PVH: use GRUB's multiboot2 or QEMU's -kernel";
    read_cmdline(start->cmdline);
    if (start->module_count > 0) {
        const struct module_entry *m = boot_data(start->modules, sizeof *m);
        if (m == NULL) return "PVH: the module list is out of reach";
        if (start->module_count > 1) log_line("tithe: more than one module: only the first is used");
        boot_info.module = m->start;
        boot_info.module_bytes = m->bytes;
    }
    if (start->rsdp != 0) {
        const void *rsdp = boot_data(start->rsdp, 36);
        if (rsdp == NULL || !boot_rsdp_take(rsdp, 36))
            log_line("tithe: PVH: the ACPI root pointer is broken");
    }
    return read_memmap(start);
}
