/* SPDX-License-Identifier: MIT
 *
 * Host swap: pages of guests on a partition of a disk. A swapped page's entry in its map names a slot of the partition; what
 * is in the slot, and whose it is, is said by a table in memory, never by the disk. With each page its hash is kept, so that
 * a disk that lost a write, or returns what it should not, is found out before a guest sees it.
 *
 * I/O goes through buffers that devices can reach. The page's own frame stays its own till all is well: a write that fails, or
 * that the guest does not wait for, simply gives it back, and no device ever writes to a guest's frame.
 *
 * Who wants pages out, which and how many is policy; only the reserve rule (vm/paging.c) is not.
 */
#ifndef TITHE_MEM_SWAP_H
#define TITHE_MEM_SWAP_H

#include "mem/p2m.h"

struct flush_batch;

#define SWAP_CLUSTER 16u /* pages in one request */

/* ---- boot CPU, no lock held ---- */

/* Takes `slots` pages of the disk from `first_sector` on; as many of them as are worth their 16 bytes in memory. False: no
 * memory for that; there is no swap then. */
MUST_CHECK bool swap_init(uint32_t disk, uint64_t first_sector, uint64_t slots);
/* Finishes what the disk refused. Called from the loop. */
void swap_poll(void);

/* So many of the VM's pages may be out, compressed or on the partition, which has a slot set aside for each. False: there are not so
 * many (nothing has changed). Without a partition, or 0, they can always be had. */
MUST_CHECK bool swap_reserve(struct p2m *p2m, uint64_t slots);
/* The map's memory is gone: nothing under way finds it any more. */
void swap_forget(struct p2m *p2m);

enum swap_pick {
    SWAP_RANDOM = 0,
    SWAP_COLD, /* a clock hand that takes pages whose accessed bit is clear, and clears the others' */
    SWAP_PICKS
};
/* Sends up to `pages` pages on their way out, one cluster at most: into the VM's store (mem/compress.h), or else to the partition. Shared
 * pages stay; pages of zeros and those that a shared frame of their group equals go at once, into nothing; those that a block of their VM's disk
 * equals (mem/origin.h) likewise, and lead there. When the store is full, or nothing else may go, the oldest pages in it go on to the partition first. Returns how
 * many pages have left; 0 when nothing could be begun just now, or no page was found among those looked at (at most SWAP_LOOKS): *looked
 * says how many those were. */
#define SWAP_LOOKS 1024u
uint32_t swap_out(struct p2m *p2m, uint32_t pages, enum swap_pick pick, uint32_t *looked);
/* Pages of the VM that are out: each has a slot set aside. */
static inline uint64_t swap_pages_out(const struct p2m *p2m)
{
    return p2m->swap.pages + p2m->store.pages;
}
/* How many more pages of the VM can go out; whether memory of it can at all, compressed pages among it. */
uint64_t swap_room(const struct p2m *p2m);
bool swap_can(const struct p2m *p2m);
/* Begins to write a cluster of the oldest pages in the store. Returns how many; each leaves it when it has been written. */
uint32_t swap_evict(struct p2m *p2m);
/* Begins to read up to `pages` pages, neighbours on the disk, from the map's cursor on. Returns as swap_out does. */
uint32_t swap_prefetch(struct p2m *p2m, uint32_t pages, uint32_t *looked);
/* Requests to write that are under way. */
uint32_t swap_writes(void);

/* ---- for the map, its lock held ---- */

/* The page, whose entry says SWAPPED, is wanted. OK: it is present, in *mfn. WAIT: it will be; or there was nothing free to
 * read it with: try again after the next completion. */
enum p2m_touch swap_touch(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *mfn);
/* The frame that the page with this entry has on its way out or in; MFN_NONE: it is on the disk alone. */
mfn_t swap_frame(const struct p2m *p2m, uint64_t entry);
/* The entry `old` has been replaced: its slot, and a frame it may hold, go. p2m_parked follows. */
void swap_drop(struct p2m *p2m, uint64_t old, struct flush_batch *batch);

/* ---- any CPU ---- */

/* Grows with every request that ends, before anybody is woken. */
uint64_t swap_completions(void);

struct swap_counts {
    uint64_t slots; /* 0: there is no swap */
    uint64_t free;
    uint64_t reserved; /* by all VMs */
    uint64_t bad;      /* a write failed there: not used again */
    uint64_t errors;   /* requests that failed */
    uint64_t corrupt;  /* pages that were read and were not what was written */
    /* TSC ticks that the core took for pages that went and that came, without the disk's time and what faults cost. */
    uint64_t out_ticks, in_ticks;
};
void swap_counts(struct swap_counts *out);
uint64_t swap_contended(void);

/* ---- for the ledger, the world stopped ---- */

/* Marks the slot that an entry of the map names. The frame it holds, MFN_NONE without one; or words of what is wrong in *why. */
mfn_t swap_mark(const struct p2m *p2m, gfn_t gfn, uint64_t entry, const char **why);
/* After all maps: the first thing wrong, NULL for nothing; *slot is where. Forgets the marks. */
const char *swap_check(uint64_t *slot);

/* ---- provided by vm/ (vm/paging.c); called with no lock held but swap_wanted, which may come with any ---- */

/* Boot CPU: requests of this VM ended, or, `all`, others may go on who found no request free. */
void swap_came(uint16_t owner, bool all);
/* Boot CPU: a page that the guest needs cannot be had back. */
void swap_lost(uint16_t owner, gfn_t gfn, const char *why);
/* Boot CPU: pages could not be written; they are where they were. */
void swap_write_failed(const char *why);
/* The boot CPU is to call swap_poll soon. */
void swap_wanted(void);

#endif
