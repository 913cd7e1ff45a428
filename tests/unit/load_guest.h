/* SPDX-License-Identifier: MIT
 *
 * A guest's memory and images for the loaders, and images made to order.
 */
#ifndef TITHE_TESTS_LOAD_GUEST_H
#define TITHE_TESTS_LOAD_GUEST_H

#include "vm/load.h"
#include "vm/vm.h"

#define GUEST_BYTES (24 * MIB)

extern struct vm load_vm;
extern uint8_t guest_ram[GUEST_BYTES];
/* vm_write fails when so many bytes have been written. */
extern uint64_t guest_write_limit;

/* An empty guest of `bytes` of RAM (at most GUEST_BYTES are really there; writes above are checked and dropped). */
void guest_reset(uint64_t bytes);

/* A source over an array, in runs of at most `run_bytes`. */
struct image {
    struct load_source source;
    const uint8_t *bytes;
    size_t run_bytes;
};
void image_init(struct image *image, const void *bytes, size_t count, size_t run_bytes);

/* A small valid bzImage: header of protocol 2.15, one setup sector, `code_bytes` of pattern. Returns its length. */
#define BZIMAGE_BYTES 8192u
size_t make_bzimage(uint8_t out[BZIMAGE_BYTES]);
/* A small valid Multiboot ELF32 with two segments: code at 1 MiB with its header, data at 2 MiB with 8 KiB of bss. */
#define ELF_BYTES 8192u
size_t make_multiboot(uint8_t out[ELF_BYTES]);
/* A flat kernel whose Multiboot header gives the addresses. */
size_t make_flat(uint8_t out[ELF_BYTES]);

void put16(uint8_t *at, uint16_t value);
void put32(uint8_t *at, uint32_t value);
void put64(uint8_t *at, uint64_t value);

#endif
