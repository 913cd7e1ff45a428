/* SPDX-License-Identifier: MIT
 *
 * Any image is loaded or refused in words; what is loaded starts inside the guest's memory. The first bytes choose the
 * guest's size, how the image lies in memory, and a good image to spoil; the rest is the image, or the spoiling:
 * pairs of an offset and a value.
 */
#include "dev_fuzz.h"

#include "load_guest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAW, BZIMAGE, ELF, FLAT, BASES };
#define SPOIL_BYTES 7u

static void spoil(uint8_t *image, size_t bytes, const uint8_t *data, size_t size)
{
    for (; size >= SPOIL_BYTES; data += SPOIL_BYTES, size -= SPOIL_BYTES) {
        const size_t offset = (data[0] | (size_t)data[1] << 8) % bytes;
        const size_t width = data[2] % 5;
        if (offset + width <= bytes) memcpy(image + offset, data + 3, width);
    }
}

void fuzz_load(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {24 * MIB,          3 * MIB, 19 * MIB, MIB + PAGE_BYTES,
                                     3 * GIB + 5 * MIB, 0,       20 * MIB, 6 * GIB};
    if (size < 4) return;
    const unsigned base = data[0] % BASES;
    size_t bytes = size - 4;
    uint8_t *image = malloc(bytes > ELF_BYTES ? bytes : ELF_BYTES);
    if (image == NULL) abort();
    if (base == RAW) {
        memcpy(image, data + 4, bytes);
    } else {
        bytes = base == BZIMAGE ? make_bzimage(image)
                : base == ELF   ? make_multiboot(image)
                                : make_flat(image);
        spoil(image, bytes, data + 4, size - 4);
    }
    load_vm.config.size_pages = sizes[data[1] % 8] / PAGE_BYTES;
    guest_write_limit = data[3] >= 0xF0 ? (uint64_t)data[3] << 6 : UINT64_MAX;

    /* The image at the end of a block of its own, so that reads past it are seen. */
    uint8_t *exact = malloc(bytes != 0 ? bytes : 1);
    if (exact == NULL) abort();
    memcpy(exact, image, bytes);
    struct image kernel, module;
    image_init(&kernel, exact, bytes, 1 + 64 * (size_t)data[2]);
    image_init(&module, exact, bytes, 4096);
    const struct load_request request = {
        .kind = data[3] & 3u,
        .kernel = &kernel.source,
        .module = (data[3] & 4) != 0 ? &module.source : NULL,
        .kernel_name = "kernel",
        .module_name = "module",
        .cmdline = "a command line",
    };
    struct load_result result;
    char reason[TITHE_REASON_MAX];
    const char *why = load_guest(&load_vm, &request, &result, reason);
    if (why == NULL && (result.entry < LOAD_HIGH_START || result.entry >= load_low_end(&load_vm))) {
        fprintf(stderr, "broken: loaded with entry 0x%x\n", result.entry);
        abort();
    }
    if (why != NULL && strlen(why) < 10) abort();
    free(exact);
    free(image);
}
