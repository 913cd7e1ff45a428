/* SPDX-License-Identifier: MIT
 *
 * The machine of verbs_property.c: several VMs with all that the core does with their memory, and the model of what each guest must find
 * there. Everybody who works on other CPUs in truth (guests, devices, the worker, the boot CPU) has a step here; steps follow each other in
 * a random order, and also come in the middle of another's, whenever the core flushes.
 */
#ifndef TITHE_TESTS_VERBS_H
#define TITHE_TESTS_VERBS_H

#include "host_env.h"
#include "mem/direct.h"
#include "mem/frame_table.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/share_table.h"
#include "mem/swap_table.h"
#include "reference.h"
#include "vm/vm.h"

#define VMS       5u
#define VCPUS     2u
#define PAGES     256u /* of a VM, at most */
#define FIRST_GFN 440u /* RAM lies in two tables, */
#define LOW_PAGES 160u
#define HIGH_GFN  700u /* and all beyond LOW_PAGES behind a hole */
#define FRAMES    800u
#define COLOURS   4u
#define CPUS      3u
#define WORDS     (PAGE_BYTES / sizeof(uint64_t))

/* The disk, in sectors: guests' partitions, then swap. */
#define PAGE_SECTORS      (PAGE_BYTES / DISK_SECTOR_BYTES)
#define PARTITIONS        2u
#define PARTITION_SECTORS (64u * PAGE_SECTORS + 3)
#define FIRST_PARTITION   5u
#define FIRST_SLOT        (FIRST_PARTITION + PARTITIONS * PARTITION_SECTORS)
#define SLOTS             448u
#define DISK_SECTORS      (FIRST_SLOT + SLOTS * PAGE_SECTORS)

struct page {
    bool ballooned;
    bool leaving; /* is being given away: nobody uses it, but a CPU may still know where it was */
    unsigned pinned;
    unsigned given;   /* how often it has been given away */
    uint64_t changes; /* writes to it */
    uint64_t word[WORDS];
};

struct translation {
    mfn_t mfn;
    bool known, writable, dirty;
};

struct guest {
    bool exists;
    bool lost;      /* a page of it cannot be had back: it is to stop */
    bool one_group; /* since it was made or reset */
    bool in_device; /* somebody has its device lock, though nobody holds it while CPUs flush */
    unsigned busy;  /* steps of it that are under way: it is not stopped meanwhile */
    unsigned pages, low;
    unsigned partition; /* PARTITIONS: it has no disk */
    uint64_t ballooned;
    struct vm vm;
    gfn_t cursor;              /* p2m_find_within's */
    struct share_scan scan[2]; /* beside the worker's */
    struct page page[PAGES];
    struct translation tlb[VCPUS][PAGES];
};

extern struct guest guests[VMS];

/* What the disk does wrong, and since when. */
struct faults {
    bool fail, lie, gone, lied;
};
extern struct faults faults;

/* How often what has come about: a run in which too little has proves nothing. */
extern struct happened {
    uint64_t nested, plans, refused, resets, stopped, no_memory, waits;
    uint64_t shared, most_shared, zeros, breaks, recoloured, moved, placed, populated, sampled;
    uint64_t outs, ins, unwritten, writes_avoided, reads_avoided, suspended, poor, full, expanded, evicted;
    uint64_t pins, kept, direct, copied, waited_for, io_failed, torn, write_failures, lost;
} happened;

/* ---- guests: verbs_guest.c ---- */

static inline struct guest *guest_of(struct p2m *p2m)
{
    return CONTAINER_OF(CONTAINER_OF(p2m, struct vm, p2m), struct guest, vm);
}
static inline gfn_t gfn_of(const struct guest *g, unsigned page)
{
    return page < g->low ? FIRST_GFN + page : HIGH_GFN + page - g->low;
}
/* PAGES: it is no RAM of the guest's. */
static inline unsigned page_of(const struct guest *g, gfn_t gfn)
{
    if (gfn >= FIRST_GFN && gfn < FIRST_GFN + g->low) return (unsigned)(gfn - FIRST_GFN);
    return gfn >= HIGH_GFN && gfn < HIGH_GFN + g->pages - g->low ? (unsigned)(gfn - HIGH_GFN) + g->low
                                                                 : PAGES;
}
static inline gpa_t gpa_of(const struct guest *g, unsigned page)
{
    return gfn_of(g, page) << PAGE_SHIFT;
}
static inline bool runs(const struct guest *g)
{
    return g->exists && g->vm.state == TITHE_VM_RUNNING;
}
static inline bool has_map(const struct guest *g)
{
    return g->exists && g->vm.state != TITHE_VM_STOPPED;
}
/* One that has a map; NULL: there is none. */
struct guest *random_guest(void);
/* Some pages are used more than others. */
unsigned random_page(const struct guest *g);
/* The entry that decides about the page, and what a sample has taken from there. */
uint64_t entry_of(struct guest *g, unsigned page);
uint64_t entry_behind(struct guest *g, unsigned page);
void check_page(const struct guest *g, unsigned page, const void *words, const char *how);
/* What is written to pages: of few kinds, so that there are equal ones, and from nothing but zeros to noise. */
void some_contents(uint64_t words[WORDS]);
/* The page was touched: it is in the balloon no more. */
void touched(struct guest *g, unsigned page);
/* It was written to. */
void changed(struct guest *g, unsigned page, size_t at, const void *bytes, size_t count);
/* Nothing is in the page any more. */
void emptied(struct guest *g, unsigned page);
/* What a touch has come to is counted; true: OK. */
bool counted(struct guest *g, enum p2m_touch touch);
void guest_step(void);
/* A CPU flushes just now. */
bool is_nested(void);
/* All translations are as the tables say. */
void check_tlbs(const struct guest *g);
/* Every page can be had, and is what was written. */
void read_everything(struct guest *g);
/* p2m->flush */
void on_flush(struct p2m *p2m);

/* ---- drivers and devices: verbs_device.c ---- */

void device_step(struct guest *g);
void balloon_step(struct guest *g);
void pin_step(struct guest *g);
void pinned_step(bool may_end);
/* The guest's memory has been forgotten: its pins outlive it. */
void keep_pins(const struct guest *g);
unsigned pins(void);

/* ---- disks: verbs_disk.c ---- */

void disk_reset(void);
/* The guest asks its disk for something. */
void io_step(struct guest *g);
/* The disk moves some data; `may_end`: or ends a request. False: there is none. */
bool disk_step(bool may_end);
void forget_io(const struct guest *g);
unsigned io_pending(void);
const void *disk_at(uint64_t sector);

/* ---- the core: verbs_core.c ---- */

void create(struct guest *g);
void end(struct guest *g);
/* The boot CPU in its loop. */
void boot_step(void);
void plan_step(void);
void image_step(void);
void drop_images(void);
void worker_step(void);
void scan_step(struct guest *g);
void move_step(struct guest *g);
void populate_step(struct guest *g);
void life_step(struct guest *g);
/* Whatever may happen while a CPU waits for others to flush. */
void in_between(void);
void counts_of(struct guest *g);

/* ---- verbs_compare.c ---- */

void compare(void);

#endif
