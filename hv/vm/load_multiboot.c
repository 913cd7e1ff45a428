/* SPDX-License-Identifier: MIT
 *
 * Multiboot v1 kernels (Multiboot 0.6.96): ELF32, or any format whose header gives its addresses itself. The module
 * follows the kernel. The command line begins with the kernel's name, as with QEMU and GRUB Legacy.
 */
#include "vm/load.h"

#include "lib/log.h"
#include "lib/string.h"
#include "vm/vm.h"

#define HEADER_MAGIC  0x1BADB002u
#define LOADER_MAGIC  0x2BADB002u
#define HEADER_SEARCH 8192u
/* Header flags: bits 0-15 are wishes that must be granted or refused, 16 says that addresses follow. */
#define WANT_KNOWN                                                                                           \
    0x0007u /* page-aligned modules, memory information, video mode (there is no screen to set) */
#define WANT_ALL      0xFFFFu
#define HAS_ADDRESSES (1u << 16)

struct multiboot_header {
    uint32_t magic, flags, checksum;
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};
#define HEADER_SHORT_BYTES 12u

struct __attribute__((packed)) elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};
struct __attribute__((packed)) elf_program {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};
#define ELF_MAGIC    "\177ELF\1\1\1" /* 32 bits, little-endian, version 1 */
#define ELF_EXEC     2u
#define ELF_386      3u
#define PT_LOAD      1u
#define PROGRAMS_MAX 64u

/* Information for the kernel (3.3); what it has no flag for is not there. */
struct __attribute__((packed)) info {
    uint32_t flags, lower_kib, upper_kib, boot_device, cmdline, module_count, modules, symbols[4], map_bytes,
        map;
    uint32_t drives_bytes, drives, config_table, loader_name, rest[13];
};
enum {
    HAS_MEMORY = 1 << 0,
    HAS_CMDLINE = 1 << 2,
    HAS_MODULES = 1 << 3,
    HAS_MAP = 1 << 6,
    HAS_LOADER_NAME = 1 << 9
};

struct module {
    uint32_t start, end, string, reserved;
};

struct __attribute__((packed)) map_entry {
    uint32_t bytes; /* of what follows */
    uint64_t start, length;
    uint32_t type;
};
enum { MAP_RAM = 1, MAP_RESERVED = 2 };

/* All of it lies together at LOAD_INFO_GPA. */
struct information {
    struct info info;
    struct module module;
    struct map_entry map[4];
    char loader_name[8];
    char module_name[TITHE_NAME_MAX];
};

static const char *const no_frame = "no free frame to load the guest into: lower other VMs' targets";

/* Searches the first 8 KiB, on 4-byte boundaries. Returns the header's offset, or -1. */
static int64_t find_header(const struct load_source *kernel, struct multiboot_header *h)
{
    for (uint32_t offset = 0; offset + HEADER_SHORT_BYTES <= HEADER_SEARCH; offset += 4) {
        uint32_t word[3];
        if (!load_read(kernel, offset, word, sizeof word)) return -1;
        if (word[0] != HEADER_MAGIC || word[0] + word[1] + word[2] != 0) continue;
        memset(h, 0, sizeof *h);
        if ((word[1] & HAS_ADDRESSES) != 0) {
            if (!load_read(kernel, offset, h, sizeof *h)) return -1;
        } else {
            memcpy(h, word, sizeof word);
        }
        return offset;
    }
    return -1;
}

/* One piece of the kernel: [offset, offset + filesz) to `to`, zeros (which memory has already) up to memsz. */
static const char *load_piece(struct vm *vm, const struct load_source *kernel, uint64_t offset,
                              uint64_t filesz, uint64_t to, uint64_t memsz, uint64_t *kernel_end)
{
    if (filesz > memsz) return "a segment is longer in the file than in memory";
    if (to < LOAD_HIGH_START) return "it wants to be loaded below 1 MiB";
    if (to + memsz > load_low_end(vm)) return "it reaches past the guest's memory";
    if (offset > kernel->bytes || filesz > kernel->bytes - offset) return "it is cut short";
    if (!load_copy(vm, to, kernel, offset, filesz)) return no_frame;
    if (to + memsz > *kernel_end) *kernel_end = to + memsz;
    return NULL;
}

static const char *load_by_addresses(struct vm *vm, const struct load_source *kernel,
                                     const struct multiboot_header *h, uint64_t header_offset,
                                     uint32_t *entry, uint64_t *kernel_end)
{
    if (h->load_addr > h->header_addr || h->header_addr - h->load_addr > header_offset) {
        return "its header's addresses contradict each other";
    }
    const uint64_t offset = header_offset - (h->header_addr - h->load_addr);
    if (h->load_end_addr != 0 && h->load_end_addr < h->load_addr)
        return "its header's addresses contradict each other";
    const uint64_t filesz = h->load_end_addr != 0 ? h->load_end_addr - h->load_addr : kernel->bytes - offset;
    uint64_t memsz = filesz;
    if (h->bss_end_addr > h->load_addr && h->bss_end_addr - h->load_addr > memsz)
        memsz = h->bss_end_addr - h->load_addr;
    *entry = h->entry_addr;
    return load_piece(vm, kernel, offset, filesz, h->load_addr, memsz, kernel_end);
}

static const char *load_elf(struct vm *vm, const struct load_source *kernel, uint32_t *entry,
                            uint64_t *kernel_end)
{
    struct elf_header e;
    if (!load_read(kernel, 0, &e, sizeof e) || memcmp(e.ident, ELF_MAGIC, sizeof ELF_MAGIC - 1) != 0 ||
        e.type != ELF_EXEC || e.machine != ELF_386) {
        return "it is no ELF32 executable for i386, and its header gives no addresses";
    }
    if (e.phentsize != sizeof(struct elf_program) || e.phnum == 0 || e.phnum > PROGRAMS_MAX) {
        return "its program headers are odd";
    }
    for (uint32_t i = 0; i < e.phnum; i++) {
        struct elf_program s;
        if (!load_read(kernel, (uint64_t)e.phoff + i * sizeof s, &s, sizeof s)) return "it is cut short";
        if (s.type != PT_LOAD || s.memsz == 0) continue;
        const char *wrong = load_piece(vm, kernel, s.offset, s.filesz, s.paddr, s.memsz, kernel_end);
        if (wrong != NULL) return wrong;
        /* The entry is a virtual address; kernels that run elsewhere than they are loaded give it in their segment. */
        if (e.entry >= s.vaddr && e.entry - s.vaddr < s.memsz) *entry = e.entry - s.vaddr + s.paddr;
    }
    if (*kernel_end == 0) return "it has nothing to load";
    return NULL;
}

static const char *load_module(struct vm *vm, const struct load_request *request, uint64_t kernel_end,
                               struct information *out, char *reason)
{
    const struct load_source *source = request->module;
    if (source == NULL) return NULL;
    const uint64_t start = (kernel_end + PAGE_BYTES - 1) & PAGE_MASK;
    if (start > load_low_end(vm) || source->bytes > load_low_end(vm) - start) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "module %.32s does not fit above the kernel: give the guest a larger size",
                   request->module_name);
        return reason;
    }
    if (!load_copy(vm, start, source, 0, source->bytes)) return no_frame;
    out->info.flags |= HAS_MODULES;
    out->info.module_count = 1;
    out->info.modules = LOAD_INFO_GPA + (uint32_t)offsetof(struct information, module);
    out->module.start = (uint32_t)start;
    out->module.end = (uint32_t)(start + source->bytes);
    out->module.string = LOAD_INFO_GPA + (uint32_t)offsetof(struct information, module_name);
    text_copy(out->module_name, sizeof out->module_name, request->module_name);
    return NULL;
}

static struct map_entry entry(uint64_t start, uint64_t end, uint32_t type)
{
    return (struct map_entry){
        .bytes = sizeof(struct map_entry) - 4, .start = start, .length = end - start, .type = type};
}

static void fill_memory(const struct vm *vm, struct information *out)
{
    const uint64_t low_end = load_low_end(vm), high_end = load_high_end(vm);
    out->info.flags |= HAS_MEMORY | HAS_MAP;
    out->info.lower_kib = LOAD_LOW_END / KIB;
    out->info.upper_kib = (uint32_t)((low_end - LOAD_HIGH_START) / KIB);
    out->map[0] = entry(0, LOAD_LOW_END, MAP_RAM);
    out->map[1] = entry(LOAD_ACPI_GPA, LOAD_HIGH_START, MAP_RESERVED);
    out->map[2] = entry(LOAD_HIGH_START, low_end, MAP_RAM);
    out->map[3] = entry(4 * GIB, high_end, MAP_RAM);
    out->info.map = LOAD_INFO_GPA + (uint32_t)offsetof(struct information, map);
    out->info.map_bytes = (high_end > 4 * GIB ? 4 : 3) * sizeof(struct map_entry);
}

static bool write_cmdline(struct vm *vm, const struct load_request *request)
{
    const size_t name_bytes = strlen(request->kernel_name);
    return vm_write(vm, LOAD_CMDLINE_GPA, request->kernel_name, name_bytes) &&
           vm_write(vm, LOAD_CMDLINE_GPA + name_bytes, " ", 1) &&
           vm_write(vm, LOAD_CMDLINE_GPA + name_bytes + 1, request->cmdline, strlen(request->cmdline) + 1);
}

const char *load_multiboot(struct vm *vm, const struct load_request *request, struct load_result *result,
                           char reason[TITHE_REASON_MAX])
{
    struct multiboot_header h = {0};
    struct information out;
    uint64_t kernel_end = 0;
    const char *wrong = "it has no Multiboot header in its first 8 KiB";
    memset(&out, 0, sizeof out);

    const int64_t offset = find_header(request->kernel, &h);
    if (offset >= 0 && (h.flags & WANT_ALL & ~WANT_KNOWN) != 0) {
        wrong = "it asks for a Multiboot feature that does not exist here";
    } else if (offset >= 0 && (h.flags & HAS_ADDRESSES) != 0) {
        wrong = load_by_addresses(vm, request->kernel, &h, (uint64_t)offset, &result->entry, &kernel_end);
    } else if (offset >= 0) {
        result->entry = 0;
        wrong = load_elf(vm, request->kernel, &result->entry, &kernel_end);
    }
    if (wrong == no_frame) return wrong;
    if (wrong == NULL && (result->entry < LOAD_HIGH_START || result->entry >= kernel_end)) {
        wrong = "its entry is outside of what it loads";
    }
    if (wrong != NULL) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "%.32s cannot be started: %s; give another image, or a larger size", request->kernel_name,
                   wrong);
        return reason;
    }

    wrong = load_module(vm, request, kernel_end, &out, reason);
    if (wrong != NULL) return wrong;
    fill_memory(vm, &out);
    out.info.flags |= HAS_CMDLINE | HAS_LOADER_NAME;
    out.info.cmdline = LOAD_CMDLINE_GPA;
    memcpy(out.loader_name, "tithe", 6);
    out.info.loader_name = LOAD_INFO_GPA + (uint32_t)offsetof(struct information, loader_name);
    if (!vm_write(vm, LOAD_INFO_GPA, &out, sizeof out) || !write_cmdline(vm, request)) return no_frame;
    result->eax = LOADER_MAGIC;
    result->ebx = LOAD_INFO_GPA;
    return NULL;
}

bool load_is_multiboot(const struct load_source *kernel)
{
    struct multiboot_header h;
    return find_header(kernel, &h) >= 0;
}
