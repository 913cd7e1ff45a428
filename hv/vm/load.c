/* SPDX-License-Identifier: MIT
 *
 * What the loaders share, and the choice between them.
 */
#include "vm/load.h"

#include "lib/log.h"
#include "lib/string.h"
#include "virt/vendor.h"
#include "vm/vm.h"

#define LOW_RAM_LIMIT  0xC0000000ull
#define HIGH_RAM_START (4 * GIB)

/* Flat 4 GiB segments as the Linux boot protocol numbers them. */
#define SELECTOR_CODE 0x10u
#define SELECTOR_DATA 0x18u
#define FLAT_CODE     0x00CF9B000000FFFFull
#define FLAT_DATA     0x00CF93000000FFFFull
#define ATTR_CODE     0xC09Bu
#define ATTR_DATA     0xC093u

uint64_t load_low_end(const struct vm *vm)
{
    const uint64_t bytes = vm->config.size_pages * PAGE_BYTES;
    return bytes < LOW_RAM_LIMIT ? bytes : LOW_RAM_LIMIT;
}

uint64_t load_high_end(const struct vm *vm)
{
    return HIGH_RAM_START + vm->config.size_pages * PAGE_BYTES - load_low_end(vm);
}

bool load_read(const struct load_source *source, uint64_t offset, void *out, size_t bytes)
{
    if (offset > source->bytes || bytes > source->bytes - offset) return false;
    uint8_t *to = out;
    while (bytes > 0) {
        size_t run;
        const void *from = source->at(source->ctx, (size_t)offset, &run);
        const size_t part = run < bytes ? run : bytes;
        memcpy(to, from, part);
        to += part;
        offset += part;
        bytes -= part;
    }
    return true;
}

bool load_copy(struct vm *vm, gpa_t to, const struct load_source *source, uint64_t offset, uint64_t bytes)
{
    if (offset > source->bytes || bytes > source->bytes - offset) return false;
    while (bytes > 0) {
        size_t run;
        const void *from = source->at(source->ctx, (size_t)offset, &run);
        const size_t part = run < bytes ? run : (size_t)bytes;
        if (!vm_write(vm, to, from, part)) return false;
        to += part;
        offset += part;
        bytes -= part;
    }
    return true;
}

uint32_t load_kind(const struct load_source *kernel)
{
    if (load_is_linux(kernel)) return TITHE_GUEST_LINUX;
    return load_is_multiboot(kernel) ? TITHE_GUEST_MULTIBOOT : 0;
}

static bool write_gdt(struct vm *vm, struct load_result *result)
{
    const uint64_t gdt[] = {0, 0, FLAT_CODE, FLAT_DATA};
    result->gdt_base = LOAD_GDT_GPA;
    result->gdt_limit = sizeof gdt - 1;
    return vm_write(vm, LOAD_GDT_GPA, gdt, sizeof gdt);
}

const char *load_guest(struct vm *vm, const struct load_request *request, struct load_result *result,
                       char reason[TITHE_REASON_MAX])
{
    const uint32_t kind = request->kind != 0 ? request->kind : load_kind(request->kernel);
    memset(result, 0, sizeof *result);
    result->kind = kind;
    if (load_low_end(vm) <= LOAD_HIGH_START) {
        return "a guest needs more than 1 MiB of memory: give it a larger size";
    }
    if (!write_gdt(vm, result)) return "no free frame for the guest's first page: lower other VMs' targets";
    switch (kind) {
    case TITHE_GUEST_LINUX: return load_linux(vm, request, result, reason);
    case TITHE_GUEST_MULTIBOOT: return load_multiboot(vm, request, result, reason);
    default:
        fmt_string(reason, TITHE_REASON_MAX,
                   "%.32s is no guest kernel: neither a Linux bzImage nor a Multiboot v1 ELF32; give it "
                   "another image",
                   request->kernel_name);
        return reason;
    }
}

void load_enter(struct vcpu *v, const struct load_result *result)
{
    const struct segment code = {
        .base = 0, .limit = UINT32_MAX, .selector = SELECTOR_CODE, .attr = ATTR_CODE};
    const struct segment data = {
        .base = 0, .limit = UINT32_MAX, .selector = SELECTOR_DATA, .attr = ATTR_DATA};
    static const enum seg data_segments[] = {SEG_DS, SEG_ES, SEG_SS, SEG_FS, SEG_GS};

    vendor->vcpu_reset_flat(v, result->entry);
    vendor->set_seg(v, SEG_CS, &code);
    for (size_t i = 0; i < ARRAY_LEN(data_segments); i++) vendor->set_seg(v, data_segments[i], &data);
    vendor->set_sys(v, SYS_GDT_BASE, result->gdt_base);
    vendor->set_sys(v, SYS_GDT_LIMIT, result->gdt_limit);
    v->regs.gpr[RAX] = result->eax;
    v->regs.gpr[RBX] = result->ebx;
    v->regs.gpr[RSI] = result->esi;
}
