/* SPDX-License-Identifier: MIT
 *
 * The memory under load, and the phases that act on it. Each phase prints what it did on one line and returns 0,
 * or prints why not and returns -1.
 */
#ifndef MEMLOAD_LOAD_H
#define MEMLOAD_LOAD_H

#include <stddef.h>
#include <stdint.h>

struct load {
    unsigned char *base; /* one reservation for all pages; the kernel gives frames as they are touched */
    size_t pages;        /* touched so far */
    size_t pages_max;    /* room in the reservation */
    uint64_t seed;
    uint64_t writes;    /* how often everything has been written: part of the pattern */
    uint64_t bad_pages; /* found wrong, ever */
};

int load_init(struct load *load, uint64_t seed);
int load_touch(struct load *load, uint64_t bytes);
int load_verify(struct load *load);
int load_rewrite(struct load *load);
int load_hold(struct load *load, uint64_t ms);
int load_keep(struct load *load); /* until a line comes in on the console */
int load_free(struct load *load);

#endif
