/* SPDX-License-Identifier: MIT
 *
 * Linux: a bzImage by the 32-bit boot protocol (Linux Documentation/x86/boot.rst, zero-page.rst). The kernel goes to the
 * address it prefers, so that it unpacks over itself and touches little memory; the initrd as high as it may.
 */
#include "vm/load.h"

#include "lib/log.h"
#include "lib/string.h"
#include "vm/vm.h"

#define SECTOR_BYTES     512u
#define HEADER_OFFSET    0x1F1u
#define HEADER_BYTES     0x73u  /* to init_size (0x264); the rest, as far as there is any, is copied unread */
#define HEADER_LIMIT     0x290u /* where the zero page goes on with other things */
#define BOOT_FLAG        0xAA55u
#define HEADER_MAGIC     0x53726448u /* "HdrS" */
#define LOADED_HIGH      0x01u
#define LOADER_UNDEFINED 0xFFu
#define VIDEO_NORMAL     0xFFFFu

#define VERSION_MIN        0x206u
#define VERSION_PREFERENCE 0x20Au /* pref_address and init_size */
#define CMDLINE_BYTES_MAX  (LOAD_LOW_END - LOAD_CMDLINE_GPA)

/* The setup header, from offset 0x1F1 of the image and of the zero page. */
struct __attribute__((packed)) setup_header {
    uint8_t setup_sects;
    uint16_t root_flags;
    uint32_t syssize;
    uint16_t ram_size, vid_mode, root_dev, boot_flag;
    uint8_t jump_opcode, jump_offset; /* the header ends at 0x202 + jump_offset */
    uint32_t magic;
    uint16_t version;
    uint32_t realmode_swtch;
    uint16_t start_sys_seg, kernel_version;
    uint8_t type_of_loader, loadflags;
    uint16_t setup_move_size;
    uint32_t code32_start, ramdisk_image, ramdisk_size, bootsect_kludge;
    uint16_t heap_end_ptr;
    uint8_t ext_loader_ver, ext_loader_type;
    uint32_t cmd_line_ptr, initrd_addr_max, kernel_alignment;
    uint8_t relocatable_kernel, min_alignment;
    uint16_t xloadflags;
    uint32_t cmdline_size, hardware_subarch;
    uint64_t hardware_subarch_data;
    uint32_t payload_offset, payload_length;
    uint64_t setup_data, pref_address;
    uint32_t init_size;
};
_Static_assert(sizeof(struct setup_header) == HEADER_BYTES, "setup header to init_size");

/* Of the zero page. */
#define ZERO_ACPI_RSDP    0x070u
#define ZERO_E820_ENTRIES 0x1E8u
#define ZERO_E820_TABLE   0x2D0u

enum { E820_RAM = 1, E820_RESERVED = 2 };
struct __attribute__((packed)) e820_entry {
    uint64_t start, bytes;
    uint32_t type;
};

static const char *const no_frame = "no free frame to load the guest into: lower other VMs' targets";

/* Reads and checks the header. NULL, or what is wrong with the image. */
static const char *read_header(const struct load_source *kernel, struct setup_header *h)
{
    if (!load_read(kernel, HEADER_OFFSET, h, sizeof *h)) return "it is too short";
    if (h->boot_flag != BOOT_FLAG || h->magic != HEADER_MAGIC) return "it has no setup header";
    if (h->version < VERSION_MIN) return "its boot protocol is older than 2.06 (Linux 2.6.22)";
    if ((h->loadflags & LOADED_HIGH) == 0) return "it is a zImage, loaded below 1 MiB";
    if (h->setup_sects == 0) h->setup_sects = 4;
    if ((h->setup_sects + 1ull) * SECTOR_BYTES >= kernel->bytes) return "it ends before its kernel begins";
    if (0x202u + h->jump_offset < HEADER_OFFSET + sizeof *h && h->version >= VERSION_PREFERENCE) {
        return "its setup header is cut short";
    }
    return NULL;
}

static uint64_t round_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

/* Where the kernel goes, and the end of what it needs before it knows its memory. */
static bool place_kernel(const struct setup_header *h, uint64_t code_bytes, uint64_t *start, uint64_t *end)
{
    *start = LOAD_HIGH_START;
    *end = *start + code_bytes;
    if (h->version < VERSION_PREFERENCE) return true;
    if (h->pref_address < LOAD_HIGH_START || h->pref_address > UINT32_MAX) return false;
    if (h->relocatable_kernel != 0 || h->pref_address == LOAD_HIGH_START) *start = h->pref_address;
    *end = h->pref_address + h->init_size;
    if (*end < *start + code_bytes) *end = *start + code_bytes;
    return true;
}

static void put_e820(uint8_t *zero_page, const struct vm *vm)
{
    const struct e820_entry map[] = {
        {0, LOAD_LOW_END, E820_RAM},
        {LOAD_ACPI_GPA, LOAD_HIGH_START - LOAD_ACPI_GPA, E820_RESERVED},
        {LOAD_HIGH_START, load_low_end(vm) - LOAD_HIGH_START, E820_RAM},
        {4 * GIB, load_high_end(vm) - 4 * GIB, E820_RAM},
    };
    const size_t count = load_high_end(vm) > 4 * GIB ? 4 : 3;
    memcpy(zero_page + ZERO_E820_TABLE, map, count * sizeof map[0]);
    zero_page[ZERO_E820_ENTRIES] = (uint8_t)count;
}

/* The zero page: the header as the image has it, with our answers in it. */
static bool write_zero_page(struct vm *vm, const struct load_source *kernel, const struct setup_header *h)
{
    uint8_t page[PAGE_BYTES];
    memset(page, 0, sizeof page);
    uint32_t header_end = 0x202u + h->jump_offset;
    if (header_end > HEADER_LIMIT) header_end = HEADER_LIMIT;
    if (header_end < HEADER_OFFSET + sizeof *h) header_end = HEADER_OFFSET + (uint32_t)sizeof *h;
    if (!load_read(kernel, HEADER_OFFSET, page + HEADER_OFFSET, header_end - HEADER_OFFSET)) return false;
    memcpy(page + HEADER_OFFSET, h, sizeof *h);
    const uint64_t rsdp = LOAD_ACPI_GPA;
    memcpy(page + ZERO_ACPI_RSDP, &rsdp, sizeof rsdp);
    put_e820(page, vm);
    return vm_write(vm, LOAD_INFO_GPA, page, sizeof page);
}

/* The initrd, page-aligned, as high as RAM and the kernel allow. NULL, or why not. */
static const char *load_initrd(struct vm *vm, const struct load_request *request, uint64_t above,
                               struct setup_header *h, char *reason)
{
    const struct load_source *initrd = request->module;
    if (initrd == NULL || initrd->bytes == 0) return NULL;
    uint64_t limit = load_low_end(vm);
    if (limit > (uint64_t)h->initrd_addr_max + 1) limit = (uint64_t)h->initrd_addr_max + 1;
    limit &= PAGE_MASK;
    if (initrd->bytes > limit || (limit - initrd->bytes) < above) {
        fmt_string(
            reason, TITHE_REASON_MAX,
            "kernel and initrd %.32s need %llu MiB below the guest's %llu MiB end: give it a larger size",
            request->module_name, (unsigned long long)(round_up(above + initrd->bytes, MIB) / MIB),
            (unsigned long long)(limit / MIB));
        return reason;
    }
    const uint64_t start = (limit - initrd->bytes) & PAGE_MASK;
    if (start < above) return "kernel and initrd overlap by a page: give the guest a larger size";
    if (!load_copy(vm, start, initrd, 0, initrd->bytes)) return no_frame;
    h->ramdisk_image = (uint32_t)start;
    h->ramdisk_size = (uint32_t)initrd->bytes;
    return NULL;
}

const char *load_linux(struct vm *vm, const struct load_request *request, struct load_result *result,
                       char reason[TITHE_REASON_MAX])
{
    const struct load_source *kernel = request->kernel;
    struct setup_header h = {0};
    const char *wrong = read_header(kernel, &h);
    uint64_t start = 0, end = 0;
    const uint64_t code_offset = (h.setup_sects + 1ull) * SECTOR_BYTES;
    if (wrong == NULL && !place_kernel(&h, kernel->bytes - code_offset, &start, &end)) {
        wrong = "it wants to run at an impossible address";
    }
    if (wrong != NULL) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "%.32s is no bzImage that can be started: %s; give it another image", request->kernel_name,
                   wrong);
        return reason;
    }
    if (end > load_low_end(vm)) {
        fmt_string(reason, TITHE_REASON_MAX,
                   "%.32s needs at least %llu MiB to unpack: give the guest a larger size",
                   request->kernel_name, (unsigned long long)(round_up(end, MIB) / MIB));
        return reason;
    }
    const size_t cmdline_bytes = strlen(request->cmdline) + 1;
    if (cmdline_bytes > CMDLINE_BYTES_MAX || cmdline_bytes - 1 > h.cmdline_size) {
        return "the command line is longer than this kernel reads: shorten it";
    }

    h.type_of_loader = LOADER_UNDEFINED;
    h.vid_mode = VIDEO_NORMAL;
    h.code32_start = (uint32_t)start;
    h.cmd_line_ptr = LOAD_CMDLINE_GPA;
    h.ramdisk_image = h.ramdisk_size = 0;
    h.setup_data = 0;
    wrong = load_initrd(vm, request, end, &h, reason);
    if (wrong != NULL) return wrong;
    if (!vm_write(vm, LOAD_CMDLINE_GPA, request->cmdline, cmdline_bytes) ||
        !load_copy(vm, start, kernel, code_offset, kernel->bytes - code_offset) ||
        !write_zero_page(vm, kernel, &h)) {
        return no_frame;
    }
    result->entry = (uint32_t)start;
    result->esi = LOAD_INFO_GPA;
    return NULL;
}

bool load_is_linux(const struct load_source *kernel)
{
    struct setup_header h;
    return load_read(kernel, HEADER_OFFSET, &h, sizeof h) && h.boot_flag == BOOT_FLAG &&
           h.magic == HEADER_MAGIC;
}
