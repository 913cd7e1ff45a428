/* SPDX-License-Identifier: MIT */
#include "load_guest.h"

#include "virt/vendor.h"

#include <string.h>

struct vm load_vm;
uint8_t guest_ram[GUEST_BYTES];
uint64_t guest_write_limit;

bool vm_write(struct vm *vm, gpa_t gpa, const void *in, size_t bytes)
{
    if (bytes > guest_write_limit) return false;
    guest_write_limit -= bytes;
    const bool low = gpa < load_low_end(vm) && bytes <= load_low_end(vm) - gpa;
    const bool high = gpa >= 4 * GIB && gpa < load_high_end(vm) && bytes <= load_high_end(vm) - gpa;
    if (!low && !high) return false;
    if (gpa < GUEST_BYTES && bytes <= GUEST_BYTES - gpa) memcpy(guest_ram + gpa, in, bytes);
    return true;
}

/* Not hv/lib/string.c: its copying is assembler, which the address sanitizer cannot see into. */
size_t text_copy(char *to, size_t size, const char *from)
{
    const size_t length = strlen(from);
    const size_t part = length < size ? length : size - 1;
    memcpy(to, from, part);
    to[part] = '\0';
    return length;
}

/* load_enter is not tested here. */
const struct vendor *vendor;

void guest_reset(uint64_t bytes)
{
    memset(guest_ram, 0, sizeof guest_ram);
    memset(&load_vm, 0, sizeof load_vm);
    load_vm.config.size_pages = bytes / PAGE_BYTES;
    guest_write_limit = UINT64_MAX;
}

static const void *at(void *ctx, size_t offset, size_t *run_bytes)
{
    const struct image *image = ctx;
    const size_t left = image->source.bytes - offset, piece = image->run_bytes - offset % image->run_bytes;
    *run_bytes = left < piece ? left : piece;
    return image->bytes + offset;
}

void image_init(struct image *image, const void *bytes, size_t count, size_t run_bytes)
{
    image->source = (struct load_source){.bytes = count, .ctx = image, .at = at};
    image->bytes = bytes;
    image->run_bytes = run_bytes;
}

void put16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof value);
}

void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

void put64(uint8_t *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
}

static void pattern(uint8_t *out, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) out[i] = (uint8_t)(i * 7 + (i >> 8));
}

size_t make_bzimage(uint8_t out[BZIMAGE_BYTES])
{
    memset(out, 0, BZIMAGE_BYTES);
    pattern(out, 1024, BZIMAGE_BYTES);
    out[0x1F1] = 1;
    put16(out + 0x1FE, 0xAA55);
    out[0x200] = 0xEB;
    out[0x201] = 0x6A;
    memcpy(out + 0x202, "HdrS", 4);
    put16(out + 0x206, 0x20F);
    out[0x211] = 1;
    put32(out + 0x22C, 0x7FFFFFFF);
    put32(out + 0x230, 0x200000);
    out[0x234] = 1;
    put32(out + 0x238, 2047);
    put64(out + 0x258, 0x1000000);
    put32(out + 0x260, 0x300000);
    return BZIMAGE_BYTES;
}

size_t make_multiboot(uint8_t out[ELF_BYTES])
{
    memset(out, 0, ELF_BYTES);
    pattern(out, 4096, ELF_BYTES);
    memcpy(out, "\177ELF\1\1\1", 7);
    put16(out + 16, 2);
    put16(out + 18, 3);
    put32(out + 24, 0x100010); /* entry */
    put32(out + 28, 52);       /* program headers */
    put16(out + 42, 32);
    put16(out + 44, 3);
    static const uint32_t programs[3][8] = {
        {1, 4096, 0x100000, 0x100000, 2048, 2048, 5, 4096},
        {4, 0, 0, 0, 100, 100, 4, 4}, /* a note: not loaded */
        {1, 6144, 0x200000, 0x200000, 2048, 2048 + 8192, 6, 4096},
    };
    memcpy(out + 52, programs, sizeof programs);
    put32(out + 4096, 0x1BADB002);
    put32(out + 4100, 3);
    put32(out + 4104, (uint32_t) - (0x1BADB002 + 3));
    return ELF_BYTES;
}

size_t make_flat(uint8_t out[ELF_BYTES])
{
    static const uint32_t header[8] = {0x1BADB002, 1u << 16, (uint32_t) - (0x1BADB002 + (1u << 16)),
                                       0x100100,   0x100000, 0x101000,
                                       0x105000,   0x100200};
    memset(out, 0, ELF_BYTES);
    pattern(out, 0, ELF_BYTES);
    memcpy(out + 0x300, header, sizeof header); /* the load address is at offset 0x200 of the file */
    return ELF_BYTES;
}
