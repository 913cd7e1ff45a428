/* SPDX-License-Identifier: MIT
 *
 * Content-based sharing: pages of equal contents in one frame, mapped read-only, until somebody writes. What was looked at
 * and found nowhere else leaves a hint, which costs nobody anything and is believed by nobody.
 *
 * Everything here may be called on any CPU while the VMs' vCPUs run on others, with no lock above LOCK_DEVICES held.
 */
#ifndef TITHE_MEM_SHARE_H
#define TITHE_MEM_SHARE_H

#include "mem/p2m.h"

/* Pages are shared within a group only, whose number is also the hash's seed. A VM begins in a group of its own. */
#define SHARE_ALONE      0u
#define SHARE_GROUPS_MAX 127u
/* Moves a VM to group 1 .. SHARE_GROUPS_MAX, or SHARE_ALONE. What it shares with its old group it goes on sharing till it is
 * written to. */
void share_set_group(struct p2m *p2m, uint8_t group);

/* In which order a scan takes pages. Each but SEQUENTIAL is a new random one every pass, without repetitions. */
enum share_order {
    SHARE_RANDOM = 0,
    SHARE_SEQUENTIAL,
    SHARE_UNSHARED_LAST, /* pages whose sharing was broken since the last pass come after all others */
    SHARE_HINTED_FIRST,  /* pages that have left a hint come before all others */
    SHARE_ORDERS
};

/* Where a scan of a VM is; all zeros but for the order to begin with. The order may change between calls. */
struct share_scan {
    enum share_order order;
    bool second;     /* of two rounds of a pass: those that come last */
    uint64_t cursor; /* entries of this round looked at */
    uint64_t passes; /* over all of the VM's memory that are done */
};

#define SHARE_SCAN_MAX 32u /* pages in one call */

/* Looks at up to `pages` (at most SHARE_SCAN_MAX) present, private pages and shares those of which there is an equal one. Returns
 * how many pages it has looked at; that is less at the end of a pass, and when entries that are no such pages took up the bounded time
 * of a call.
 * One call is some ten microseconds' work and two flushes of the VM at most, and one of each VM whose hints it follows. A
 * scan may run on several CPUs at once, of the same VM too, with a `scan` each. The caller sees to it that the map
 * lives: by being the boot CPU, or by p2m_hold. */
uint32_t share_scan(struct p2m *p2m, struct share_scan *scan, uint32_t pages);

/* For a page that is to go, `mfn` its frame, which nobody can write to or find; with its map's lock. The shared frame that is equal to it,
 * counted once more, for its entry to map; MFN_NONE: there is none. A frame that goes itself is put in front of *parked. */
MUST_CHECK mfn_t share_join(struct p2m *p2m, mfn_t mfn, mfn_t *parked);

/* The map of the VM in this slot, which till p2m_release p2m_destroy waits for; NULL: there is none (any more). No lock need be
 * held meanwhile, and whoever holds one must not wait for the boot CPU. */
struct p2m *p2m_hold(uint16_t slot);
void p2m_release(struct p2m *p2m);

/* Each map has its part in p2m->sharing. */
struct share_counts {
    uint64_t frames;          /* that are shared now */
    uint64_t entries;         /* that map one of them: entries - frames are saved */
    uint64_t zero_entries;    /* of which map a page of zeros */
    uint64_t stale_hints;     /* dropped, for the page was another by then; since boot, as all below */
    uint64_t compares_failed; /* pages of equal hash that were not equal */
    uint64_t refused;         /* for want of room in the table of large counts, or in a chain */
};
void share_counts(struct share_counts *out);

/* For tests: hashes keep only so many bits (64: all), so that different pages collide. Before anything is shared. */
void share_hash_bits(unsigned bits);

/* How often somebody had to wait for the lock of the hash table. */
uint64_t share_contended(void);

#endif
