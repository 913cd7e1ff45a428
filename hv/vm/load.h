/* SPDX-License-Identifier: MIT
 *
 * From images to a guest that stands at its entry: Linux (bzImage) and Multiboot v1. Images are hostile input.
 */
#ifndef TITHE_VM_LOAD_H
#define TITHE_VM_LOAD_H

#include "tithe/abi.h"
#include "tithe/types.h"

struct vm;
struct vcpu;

/* An image, in memory but perhaps in pieces. `at` gives the address of the byte at `offset` (< bytes) and in
 * *run_bytes how many follow it contiguously (>= 1; may reach past what is asked, not past the image). */
struct load_source {
    size_t bytes;
    void *ctx;
    const void *(*at)(void *ctx, size_t offset, size_t *run_bytes);
};

struct load_request {
    uint32_t kind; /* enum tithe_guest_kind, or 0: find out */
    const struct load_source *kernel;
    const struct load_source *module;      /* initrd or Multiboot module; NULL: none */
    const char *kernel_name, *module_name; /* for Multiboot's module string and for reasons */
    const char *cmdline;
};

/* How the boot vCPU starts: flat 32-bit protected mode, paging and interrupts off. */
struct load_result {
    uint32_t kind; /* enum tithe_guest_kind: what it was */
    uint32_t entry;
    uint32_t eax, ebx, esi;
    /* A GDT in the guest's memory with flat segments: code at selector 0x10, data at 0x18 (the Linux boot
     * protocol wants it; Multiboot leaves it undefined). */
    uint32_t gdt_base, gdt_limit;
};

/* Writes the images and what their protocol wants into the guest's empty memory. NULL, or why not, in
 * words with a mend; the text is in `reason` or constant. Part of memory may be written even so. */
const char *load_guest(struct vm *vm, const struct load_request *request, struct load_result *result,
                       char reason[TITHE_REASON_MAX]);
/* Puts a vCPU at the entry: flat state, registers, segments, GDT. */
void load_enter(struct vcpu *v, const struct load_result *result);

/* TITHE_GUEST_LINUX, TITHE_GUEST_MULTIBOOT, or 0 when it is neither. */
uint32_t load_kind(const struct load_source *kernel);

/* ---- for the loaders ---- */

/* Where the loaders put what they make, below 640 KiB. */
#define LOAD_GDT_GPA     0x1000u
#define LOAD_INFO_GPA    0x10000u /* zero page, or Multiboot information */
#define LOAD_CMDLINE_GPA 0x20000u
#define LOAD_LOW_END     0xA0000u
#define LOAD_ACPI_GPA    0xE0000u
#define LOAD_HIGH_START  0x100000u

const char *load_linux(struct vm *vm, const struct load_request *request, struct load_result *result,
                       char reason[TITHE_REASON_MAX]);
const char *load_multiboot(struct vm *vm, const struct load_request *request, struct load_result *result,
                           char reason[TITHE_REASON_MAX]);

bool load_is_linux(const struct load_source *kernel);
bool load_is_multiboot(const struct load_source *kernel);

/* Copies [offset, offset + bytes) of an image. False when that is not all inside it. */
MUST_CHECK bool load_read(const struct load_source *source, uint64_t offset, void *out, size_t bytes);
/* The same into the guest's memory, page by page without a stop in between. */
MUST_CHECK bool load_copy(struct vm *vm, gpa_t to, const struct load_source *source, uint64_t offset,
                          uint64_t bytes);
/* End of the RAM that starts at 0, and of the RAM that starts at 4 GiB (4 GiB when there is none there). */
uint64_t load_low_end(const struct vm *vm);
uint64_t load_high_end(const struct vm *vm);

#endif
