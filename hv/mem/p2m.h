/* SPDX-License-Identifier: MIT
 *
 * The guest-physical map of one VM. The second-level tables (EPT or NPT) are the map: a present entry
 * names a frame, a non-present one says in its free bits what became of the page. There is no other copy.
 */
#ifndef TITHE_MEM_P2M_H
#define TITHE_MEM_P2M_H

#include "lib/lock.h"
#include "mem/frame.h"
#include "mem/pt.h"
#include "tithe/types.h"

/* What an entry says. */
enum p2m_type {
    P2M_HOLE = 0,      /* no memory there: devices, or nothing */
    P2M_UNTOUCHED = 1, /* guest RAM, never touched or given up for good: zero on the next touch */
    P2M_BALLOONED = 2, /* guest RAM in the guest's balloon: zero on a touch, which counts as a pop */
    P2M_PRESENT = 3,
    P2M_SHARED = 4, /* present and read-only: the frame is shared (mem/share.h) */
    P2M_SAMPLED =
        5, /* guest RAM with a frame, its entry taken away to see whether it is touched (mem/sample.h) */
    P2M_SWAPPED = 6, /* guest RAM in a slot of the swap partition, or on its way from or to it (mem/swap.h) */
    P2M_COMPRESSED = 7, /* guest RAM in the VM's store, or about to go there or to swap (mem/compress.h) */
};

/* What sharing did for one map. Written with the map's lock. */
struct p2m_sharing {
    uint8_t group;      /* see share_set_group */
    uint64_t pages;     /* entries that map a shared frame; part of the present pages */
    uint64_t breaks;    /* writes to such an entry */
    uint64_t scanned;   /* pages looked at */
    uint64_t hits;      /* of these, became shared with a frame that was shared already */
    uint64_t hint_hits; /* ... with a page found by its hint */
    uint64_t hints;     /* ... left a hint */
    uint64_t zeros;     /* ... were all zeros */
};

struct origin;
struct sample;
/* Host swap of one map (mem/swap.h). Written with the map's lock, but for what the boot CPU alone uses. */
struct p2m_swap {
    uint64_t pages;     /* entries that name a slot */
    uint64_t reading;   /* of these, on their way in */
    uint64_t outs;      /* pages written since creation */
    uint64_t ins;       /* pages read */
    uint64_t unwritten; /* pages that were to go and needed no writing */
    uint64_t
        writes_avoided; /* pages that were not written either, for their block of the guest's disk has them (mem/origin.h) */
    uint64_t reads_avoided;  /* that were not read, for the guest's disk was about to overwrite them */
    bool avoids;             /* see origin_avoid */
    uint64_t reserved;       /* so many pages may be out, compressed ones among them; boot CPU */
    gfn_t cursor, in_cursor; /* boot CPU */
    /* Instructions being emulated: nothing goes out meanwhile, so that what was there stays there; atomic. */
    uint32_t steady;
};

/* The compression tier of one map (mem/compress.h). Written with the map's lock. */
struct p2m_store {
    uint64_t limit;               /* frames it may have; 0: the tier is off */
    uint32_t most;                /* bytes: a page that is longer when compressed is not kept */
    bool closed;                  /* its VM is suspended: as if the limit were 0 */
    uint64_t frames;              /* it has */
    uint64_t pages;               /* entries that name a place in it */
    uint64_t bytes;               /* of these pages, compressed */
    uint64_t tried;               /* pages that were compressed, ever; as all below */
    uint64_t poor;                /* of these, were too long then */
    uint64_t full;                /* ... found no room */
    uint64_t hits;                /* pages that came back because somebody wanted them */
    uint64_t evicted;             /* pages that went on to swap */
    uint64_t expands_avoided;     /* pages that were dropped, for the guest's disk overwrites them */
    uint64_t ticks_in, ticks_out; /* TSC: spent on compressing, and on the reverse */
    /* mem/store.c's: frames by age, and by the room they have. */
    uint32_t oldest, youngest;
    uint64_t bins;
    uint32_t bin[64];
};

/* Frames for pages before they are touched: mem/p2m_populate.c's. */
struct p2m_populating {
    uint64_t asked; /* pages */
    uint64_t left;  /* of these */
    gfn_t from;     /* lower ones have been seen to */
    uint64_t pages; /* that got a frame so, ever */
};

/* Colours of its frames: mem/p2m_colour.c's. */
struct p2m_colouring {
    uint64_t left;   /* pages that are still to be moved, at most */
    gfn_t from;      /* lower ones have been seen to */
    uint64_t moved;  /* pages, ever */
    uint64_t stray;  /* pages in frames of other colours, at most, but for those that p2m_strays adds */
    uint64_t off;    /* frame_coloured.off, of which `stray` knows */
    uint64_t passed; /* of the strays, those that the pass under way has not moved */
    uint64_t began;  /* frame_coloured.off at its beginning */
    uint32_t pass;   /* number of the pass under way */
};

struct p2m {
    const struct pt_format *format;
    struct lock lock; /* LOCK_P2M */
    hpa_t root;
    uint16_t owner;      /* slot of the VM: owner of table and guest frames */
    gfn_t limit;         /* first gfn above all RAM */
    uint32_t stamp;      /* of the last entry that was made read-only, but for good */
    uint64_t size_pages; /* RAM pages: entries that are not holes */
    uint64_t promised;   /* table frames still set aside */
    uint64_t table_pages;
    uint64_t present_pages; /* frames it has, those of pages on their way from or to swap among them */
    uint64_t ballooned_pages;
    uint64_t pinned_pages; /* of the present ones */
    uint64_t first_touches;
    uint64_t pops;
    struct p2m_sharing sharing;
    struct p2m_populating populating;
    enum frame_state page; /* that frame_alloc is asked for, for a page: GUEST, or COLOURED */
    struct p2m_colouring colouring;
    struct sample *sample; /* set by vm/; NULL: this map is never sampled */
    struct p2m_swap swap;
    struct p2m_store store;
    struct origin *origin; /* mem/origin.h; NULL: it is not noted where pages come from */
    /* Makes every CPU forget all translations of this map; set by vm/, NULL in tests. */
    void (*flush)(struct p2m *p2m);
};

/* RAM of a guest: up to two ranges. */
struct p2m_range {
    gfn_t start;
    uint64_t count;
};

/* Reserves the worst case of table pages and marks the ranges UNTOUCHED. False: not enough free memory
 * (nothing is kept), or a range that is empty, overlaps, overflows or passes the format's address width. */
MUST_CHECK bool p2m_create(struct p2m *p2m, const struct pt_format *format, uint16_t owner,
                           const struct p2m_range *ranges, size_t range_count);
/* Table frames that p2m_create would reserve for these ranges (for admission). */
uint64_t p2m_table_pages(const struct p2m_range *ranges, size_t range_count);
/* Nobody finds the map by its slot any more, and whoever has is done with it: from then on only its VM's CPUs and the caller
 * use it. Boot CPU, without locks; before anything that p2m->flush needs is taken down. */
void p2m_retire(struct p2m *p2m);
/* These two hold the map's lock for as long as it takes (about a millisecond per 100 MiB present): no vCPU of the VM runs and
 * no device of it works, so nobody waits for it. The pool's lock, which others do want, is let go every few hundred frames. */
/* Retires it, and frees every guest frame and table. No vCPU of the VM may run any more. */
void p2m_destroy(struct p2m *p2m);
/* Frees every guest frame and makes all RAM UNTOUCHED again, balloon entries too: the guest was reset. No vCPU of the VM runs
 * till this returns. */
void p2m_reset(struct p2m *p2m);

/* Whether a gfn is RAM or a hole. The same as long as the map lives. */
bool p2m_is_ram(struct p2m *p2m, gfn_t gfn);

/* What follows touches pages as a guest access would. No frame's number leaves the map's lock: as soon as it is let go,
 * another CPU may balloon the page and reuse its frame. A write to a shared page first gets it a frame of its own, with a
 * flush: no lock above LOCK_DEVICES may be held. */
enum p2m_touch {
    P2M_TOUCH_OK = 0,    /* present, and writable if that was wanted; nothing is left to flush */
    P2M_TOUCH_HOLE,      /* no memory there */
    P2M_TOUCH_NO_MEMORY, /* no free frame above the reserve: wait and try again */
    P2M_TOUCH_WAIT,      /* on its way from swap: try again once swap_completions has moved */
};
/* Makes a RAM page present with a zeroed frame when it is not, and private if the access is a `write`. */
MUST_CHECK enum p2m_touch p2m_touch(struct p2m *p2m, gfn_t gfn, bool write);
/* Copy within one page. 1, 2, 4 or 8 bytes at their natural alignment are one access, as other CPUs see it. */
MUST_CHECK enum p2m_touch p2m_read(struct p2m *p2m, gpa_t gpa, void *out, size_t bytes);
MUST_CHECK enum p2m_touch p2m_write(struct p2m *p2m, gpa_t gpa, const void *in, size_t bytes);
/* 4 or 8 naturally aligned bytes: *was becomes what was there; if that was `old`, it is replaced by `value`. */
MUST_CHECK enum p2m_touch p2m_cmpxchg(struct p2m *p2m, gpa_t gpa, size_t bytes, uint64_t old, uint64_t value,
                                      uint64_t *was);

/* ---- pages that a device works on by itself (mem/p2m_pin.c) ---- */

/* Touches the page as a write would, and keeps it in its frame *mfn till p2m_unpin: present, private and writable, whatever is asked of
 * the map meanwhile. With `write` false, the device only reads: a shared page then is left alone, *mfn is MFN_NONE, nothing is pinned, and
 * the caller reads it by p2m_read. Pins count. No lock above LOCK_DEVICES may be held. */
MUST_CHECK enum p2m_touch p2m_pin(struct p2m *p2m, gfn_t gfn, bool write, mfn_t *mfn);
/* The device is done with it. By whoever keeps the map from being forgotten, or by the boot CPU, which forgets it: if it has been
 * (p2m_reset, p2m_destroy) since the page was pinned, the frame is freed here, and p2m is not looked at. */
void p2m_unpin(struct p2m *p2m, gfn_t gfn, mfn_t mfn);

/* ---- pages that move (mem/p2m_move.c) ---- */

#define P2M_MOVE_MAX 32u
enum p2m_move {
    P2M_MOVE_DONE = 0,
    P2M_MOVE_THERE,    /* its frame is one of those already */
    P2M_MOVE_BUSY,     /* it has no frame of its own just now, is pinned, or is being written to */
    P2M_MOVE_NO_FRAME, /* none of these is free, as far as has been looked: see frame_alloc_within */
};
/* Up to P2M_MOVE_MAX pages, all different, get frames of [from, to) instead of their own, while the guest runs; two flushes at most. From any CPU, with no
 * lock above LOCK_DEVICES held; the caller sees to it that the map lives. */
void p2m_move(struct p2m *p2m, const gfn_t *gfns, uint32_t count, mfn_t from, mfn_t to,
              enum p2m_move *outcome);
/* Pages that p2m_move could take and whose frames are in [from, to), from *cursor on round the map, which one caller at a time moves; `cold`: only
 * those that have not been accessed since they were looked at before. *looked: the entries looked at, P2M_FIND_LOOKS at most. */
#define P2M_FIND_LOOKS 512u
uint32_t p2m_find_within(struct p2m *p2m, gfn_t *cursor, mfn_t from, mfn_t to, bool cold, gfn_t *gfns,
                         uint32_t most, uint32_t *looked);

/* ---- flush obligations: see mem/flush.h ---- */
struct flush_batch;

enum p2m_give {
    P2M_GIVE_OK = 0,
    P2M_GIVE_HOLE,    /* not RAM: a hostile or broken driver */
    P2M_GIVE_ALREADY, /* is ballooned already: nothing done */
    P2M_GIVE_PINNED,  /* a device works on it, which the guest has asked for itself: nothing done */
};
/* The guest gave this page to its balloon: the frame (if any) is parked in the batch, the entry says
 * BALLOONED. The batch may be discharged on the way, when it holds all the shared frames it can. */
MUST_CHECK enum p2m_give p2m_balloon(struct p2m *p2m, gfn_t gfn, struct flush_batch *batch);
/* The guest takes the page back: BALLOONED becomes UNTOUCHED. False when it was not ballooned. */
bool p2m_unballoon(struct p2m *p2m, gfn_t gfn);
/* The same for a message of the driver, under one lock: much cheaper by the page. Return how many pages
 * changed; holes, and pages that were so already, are left alone. */
size_t p2m_balloon_pages(struct p2m *p2m, const uint32_t *gfns, size_t count, struct flush_batch *batch);
size_t p2m_unballoon_pages(struct p2m *p2m, const uint32_t *gfns, size_t count);
/* So many untouched pages, the lowest first, are to get a frame, by p2m_populate_step; 0: none (any more). */
void p2m_populate(struct p2m *p2m, uint64_t pages);
struct p2m_populated {
    bool more; /* something is left to do */
    bool
        ended; /* just now: by what was asked for, `given` pages got a frame and `missing` did not, for no frame */
    uint64_t given, missing; /* above the reserve was left, or no untouched page */
};
/* A step of a few pages. */
MUST_CHECK struct p2m_populated p2m_populate_step(struct p2m *p2m);
/* From now on new frames are of the colours in `mask` as long as any such is free (0: any). Of the pages that it has, up to `recolour`,
 * the lowest first, are to be moved to such frames by p2m_recolour_step; 0: none (any more). */
void p2m_set_colours(struct p2m *p2m, uint32_t mask, uint64_t recolour);
/* Moves a few pages; ends when no frame of its colours is free. False: nothing is left to do. One caller at a time, with no lock above
 * LOCK_DEVICES held. */
MUST_CHECK bool p2m_recolour_step(struct p2m *p2m);
/* What is still to be moved is forgotten. */
void p2m_recolour_stop(struct p2m *p2m);
/* At most so many of its own pages are in frames of other colours. With the lock held. */
uint64_t p2m_strays(const struct p2m *p2m);
/* The guest has no use for what is in these pages: those that have a frame or are swapped become UNTOUCHED, and frames are parked in the batch,
 * which may be discharged on the way. Others are
 * left alone, and so is what is not RAM. Returns how many had a frame. The lock is held for at most 512 pages at a time. */
uint64_t p2m_discard(struct p2m *p2m, gfn_t gfn, uint64_t count, struct flush_batch *batch);
/* All BALLOONED entries become UNTOUCHED (the driver was reset: the balloon pops), 1 GiB at a time: a page that another vCPU
 * gives meanwhile may be among them or not. Returns how many. */
uint64_t p2m_pop_all(struct p2m *p2m);
/* Calls visit for every RAM gfn from `from` below `to`. */
void p2m_walk(struct p2m *p2m, gfn_t from, gfn_t to,
              void (*visit)(void *ctx, gfn_t gfn, enum p2m_type type, mfn_t mfn), void *ctx);

#endif
