/* SPDX-License-Identifier: MIT
 *
 * The exact reference that hv/mem is compared with: plain arrays, one entry for every guest page and every
 * frame.
 */
#ifndef TITHE_TESTS_MEM_MODEL_H
#define TITHE_TESTS_MEM_MODEL_H

#include "host_env.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/p2m.h"
#include "mem_lookup.h"
#include "reference.h"

#define FRAMES     1024u
#define VMS        5u
#define PAGES_MAX  6500u /* of one VM */
#define HIGH_GFN   0x100000u
#define RANGES_MAX 4u
#define COLOURS    8u
#define NOBODY     0u
#define THE_CORE   1000u /* in frame_user: VMs count from 1 */
#define TABLES_LOW (HIGH_GFN / 512 + 8)

struct model_page {
    gfn_t gfn;
    enum p2m_type type;
    mfn_t mfn;
    uint64_t word; /* what the guest wrote, at its place in the page */
    unsigned place;
};

struct model_vm {
    bool alive;
    struct p2m p2m;
    struct flush_batch batch; /* open over many steps */
    struct p2m_range ranges[RANGES_MAX];
    size_t range_count;
    unsigned size, present, ballooned, tables, worst;
    uint64_t first_touches, pops, flushes;
    uint32_t colours; /* 0: any */
    uint64_t coloured, off_colour;
    struct model_page page[PAGES_MAX];
    bool table1[TABLES_LOW], table2[8], table3; /* which table pages exist */
};

extern struct model_vm vms[VMS];
extern unsigned frame_user[FRAMES];  /* VM number, THE_CORE or NOBODY */
extern unsigned frame_stale[FRAMES]; /* VM that took it from its map and has not flushed since, or NOBODY */
extern uint64_t reserve, core_frames, absent_frames;

/* A machine without VMs, some frames of which are no RAM. */
void model_start(void);
/* The VM's pages and tables as p2m_create should make them; does not create it. */
void model_plan_vm(struct model_vm *vm, const struct p2m_range *ranges, size_t count);
/* The model of a gfn, NULL for a hole. */
struct model_page *model_page(struct model_vm *vm, gfn_t gfn);
/* The map must now have the tables down to this page. */
void model_needs_tables(struct model_vm *vm, gfn_t gfn);
uint64_t model_free(void);
uint64_t model_promised(void);
/* Everything the core says about frames and maps against the model, and the ledger. No batch may be open. */
void model_compare(void);

#endif
