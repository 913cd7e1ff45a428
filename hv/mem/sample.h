/* SPDX-License-Identifier: MIT
 *
 * Working-set sampling: of some random pages of a VM, how many does its guest touch in a period? Either the accessed bits of
 * their entries are cleared, and read at the end, or the entries are taken away (P2M_SAMPLED) and come back at the
 * first touch, which is counted: the paper's way, for CPUs without such bits and for comparison.
 *
 * A page counts as touched that the guest has touched in the period and still has at its end: one that is untouched or in the
 * balloon is idle, one touched for the first time is not. When a device writes or reads for the guest, that is a touch for the entry that
 * was taken away, while accessed bits tell only of CPUs.
 */
#ifndef TITHE_MEM_SAMPLE_H
#define TITHE_MEM_SAMPLE_H

#include "mem/p2m.h"
#include "tithe/abi.h"

/* Looked at under one hold of the map's lock, and flushed once. */
#define SAMPLE_STEP 128u

struct sample_page {
    gfn_t gfn;
    uint64_t entry; /* SAMPLED: what stood in its place; else 0, or SAMPLE_TOUCHED */
};
#define SAMPLE_TOUCHED UINT64_MAX

/* All but `counts`, `accessed` and `random` is mem/sample.c's own. Under the lock of the map that names it in p2m->sample. */
struct sample {
    bool accessed;   /* set by the maker: CPUs set accessed bits in this map */
    uint64_t random; /* set by the maker, differently for each VM */
    struct tithe_sample counts;
    enum { SAMPLE_AT_REST, SAMPLE_LOOKING, SAMPLE_ENDING, SAMPLE_BEGINNING } stage;
    uint32_t at;                               /* pages that LOOKING and ENDING have come to */
    uint64_t tried;                            /* gfns that BEGINNING has come to */
    uint64_t pages;                            /* of the next period */
    uint64_t method;                           /* likewise */
    struct sample_page page[TITHE_SAMPLE_MAX]; /* counts.pages of them */
};

/* To be done by sample_step: TITHE_VERB_SAMPLE with these arguments. `pages` within its bounds. A period that has begun after seen_ns, of
 * sample_step's clock, is not ended: who asks has not seen it, and means the one before. */
void sample_ask(struct p2m *p2m, uint64_t pages, uint64_t method, uint64_t seen_ns);
/* What has been asked for and not been done is forgotten. */
void sample_stop(struct p2m *p2m);
/* A step of at most SAMPLE_STEP pages and one flush; false: nothing is left to do. Afterwards the clocks say when the period has begun.
 * One caller at a time. */
bool sample_step(struct p2m *p2m, uint64_t now_ns, uint64_t cpu_ns);
/* The counts of one moment. */
void sample_counts(struct p2m *p2m, struct tithe_sample *out);

/* ---- for the map, with its lock held ---- */

/* The entry at `slot` says SAMPLED: puts back what stood there, and returns it. It is a touch, or not. */
uint64_t sample_restore(struct p2m *p2m, uint64_t *slot, bool touched);
/* What stands behind an entry that says SAMPLED, that of gfn; 0: it names no page of the sample. */
uint64_t sample_behind(const struct p2m *p2m, gfn_t gfn, uint64_t entry);
/* Puts everything back, and forgets the period under way. */
void sample_drop(struct p2m *p2m);

#endif
