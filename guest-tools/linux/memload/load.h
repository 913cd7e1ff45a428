/* SPDX-License-Identifier: MIT
 *
 * The memory under load, and the phases that act on it. Each phase prints what it did on one line and returns 0,
 * or prints why not and returns -1.
 */
#ifndef MEMLOAD_LOAD_H
#define MEMLOAD_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

/* What is in a page. */
struct note {
    uint16_t writes; /* how often it has been written anew: part of the pattern */
    uint8_t kind;    /* enum kind */
};

struct load {
    unsigned char *base; /* one reservation for all pages; the kernel gives frames as they are touched */
    struct note *notes;  /* of each page */
    size_t pages;        /* touched so far */
    size_t pages_max;    /* room in the reservation */
    uint64_t seed;
    uint64_t bad_pages; /* found wrong, ever */
};

int load_init(struct load *load, uint64_t seed);
int load_touch(struct load *load, uint64_t bytes, enum kind kind);
int load_verify(struct load *load);
int load_rewrite(struct load *load);
int load_hold(struct load *load, uint64_t ms);
int load_free(struct load *load);

/* Until a line comes in on the console. */
int load_keep(struct load *load);
int load_use(struct load *load, uint64_t bytes);
int load_work(struct load *load, unsigned threads); /* work.c */
int load_disk(struct load *load, uint64_t bytes);   /* disk.c */

/* ---- for phases in files of their own ---- */

/* Gives pages new content, of the kind that they have. */
void load_renew(const struct load *load, size_t first, size_t count);

/* Writes a word of each page back as it is: what is shared has to be copied for that. */
void load_write_back(const struct load *load, size_t first, size_t count);

/* Compares pages with what was written into them, says so of the first few that are wrong, and returns how many those are. For
 * threads that have different pages, too: adds nothing to bad_pages. */
uint64_t load_check(const struct load *load, size_t first, size_t count);

/* The line that ends a phase of this name, which began at began_us, and its result. Adds to bad_pages. */
int load_verdict(struct load *load, const char *phase, uint64_t pages, uint64_t bad, uint64_t began_us);

/* How many pages that many bytes are; 0, after saying so, if the phase has not touched so many. */
size_t load_pages(const struct load *load, const char *phase, uint64_t bytes);

#endif
