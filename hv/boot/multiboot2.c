/* SPDX-License-Identifier: MIT
 *
 * Multiboot2 information (Multiboot2 specification 3.6): a list of tags, each 8-aligned with type and size
 * first.
 */
#include "boot/boot_priv.h"
#include "boot/layout.h"
#include "lib/log.h"

enum tag_type {
    TAG_END = 0,
    TAG_CMDLINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_EFI32 = 11,
    TAG_EFI64 = 12,
    TAG_ACPI_OLD = 14,
    TAG_ACPI_NEW = 15,
    TAG_EFI_MEMORY_MAP = 17,
};

struct tag {
    uint32_t type;
    uint32_t bytes; /* this header included */
};

struct memory_map_tag {
    struct tag tag;
    uint32_t entry_bytes;
    uint32_t version;
};

struct memory_map_entry {
    uint64_t start;
    uint64_t bytes;
    uint32_t type; /* as E820 */
    uint32_t reserved;
} __attribute__((packed)); /* the loader chooses the step from one to the next */

struct module_tag {
    struct tag tag;
    uint32_t start;
    uint32_t end;
};

static const char *read_memory_map(const struct tag *tag)
{
    const struct memory_map_tag *map = (const void *)tag;

    if (tag->bytes < sizeof *map || map->entry_bytes < sizeof(struct memory_map_entry))
        return "Multiboot2: the memory map tag is too short";
    for (uint32_t at = sizeof *map; at + map->entry_bytes <= tag->bytes && at + map->entry_bytes > at;
         at += map->entry_bytes) {
        const struct memory_map_entry *e = (const void *)((const char *)map + at);
        if (!memmap_add(e->start, e->bytes, memmap_type(e->type)))
            return "Multiboot2: the memory map has too many entries";
    }
    return NULL;
}

static const char *read_tag(const struct tag *tag)
{
    switch (tag->type) {
    case TAG_CMDLINE: boot_cmdline_set((const char *)(tag + 1), tag->bytes - sizeof *tag); break;
    case TAG_MODULE: {
        const struct module_tag *m = (const void *)tag;
        if (tag->bytes < sizeof *m || m->end < m->start) return "Multiboot2: a module tag is broken";
        if (boot_info.module_bytes != 0) {
            log_line("tithe: more than one module: only the first is used");
            break;
        }
        boot_info.module = m->start;
        boot_info.module_bytes = m->end - m->start;
        break;
    }
    case TAG_MEMORY_MAP: return read_memory_map(tag);
    case TAG_EFI32:
    case TAG_EFI64:
    case TAG_EFI_MEMORY_MAP: boot_info.machine = "multiboot2 uefi"; break;
    case TAG_ACPI_OLD:
    case TAG_ACPI_NEW:
        /* A copy of the root pointer. The newer one, if it comes first, is not replaced. */
        if (boot_info.xsdt == 0 && !boot_rsdp_take(tag + 1, tag->bytes - sizeof *tag))
            log_line("tithe: Multiboot2: the ACPI root pointer is broken");
        break;
    default: break;
    }
    return NULL;
}

const char *multiboot2_read(uint32_t info)
{
    const uint32_t *head = boot_data(info, 8);

    boot_info.machine = "multiboot2 bios";
    if (head == NULL || (info & 7) != 0) return "Multiboot2: the information is out of reach";
    uint32_t total = head[0];
    if (boot_data(info, total) == NULL) return "Multiboot2: the information is out of reach";

    for (uint64_t at = 8; at + sizeof(struct tag) <= total;) {
        const struct tag *tag = (const void *)((const char *)head + at);
        if (tag->type == TAG_END) return NULL;
        if (tag->bytes < sizeof *tag || tag->bytes > total - at)
            return "Multiboot2: a tag is longer than the information";
        const char *why = read_tag(tag);
        if (why != NULL) return why;
        at += (tag->bytes + 7ull) & ~7ull;
    }
    return "Multiboot2: the information has no end tag";
}
