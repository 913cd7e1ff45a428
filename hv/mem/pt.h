/* SPDX-License-Identifier: MIT
 *
 * Radix page tables: one walker for the three kinds this machine has (EPT, NPT, the host's own), told apart
 * by a format. All have 512 entries of 8 bytes per table; level 1 holds the 4 KiB leaves, level 2 may hold 2
 * MiB leaves, level 3 1 GiB leaves. A table page is reached through the direct map.
 *
 * A non-present entry says in bits the CPU ignores what its whole range is (a p2m_type); it may stand at
 * any level and is split into a table of equals when a part of its range changes. Zero means nothing is
 * there.
 *
 * The walker never flushes a TLB: whoever changes a present entry does.
 */
#ifndef TITHE_MEM_PT_H
#define TITHE_MEM_PT_H

#include "mem/direct.h"
#include "tithe/types.h"

#define PT_INDEX_BITS 9u
#define PT_ENTRIES    512u

/* A non-present entry of some types also says a number, in bits that name no frame in any format and no CPU looks at. */
#define PT_NOTE_SHIFT 52u
#define PT_NOTE_BITS  10u
#define PT_NOTE       (((1ull << PT_NOTE_BITS) - 1) << PT_NOTE_SHIFT)

/* What a leaf allows; translated by the format. EPT takes no PT_WRITE without PT_READ (SDM 3C 28.3.3.1). */
enum pt_rights {
    PT_READ = 1 << 0,
    PT_WRITE = 1 << 1,
    PT_EXEC = 1 << 2,
    PT_USER = 1 << 3,     /* host tables: ring 3 may, too */
    PT_GLOBAL = 1 << 4,   /* host tables: survives a load of CR3 */
    PT_UNCACHED = 1 << 5, /* device registers; else write-back */
};
#define PT_RWX (PT_READ | PT_WRITE | PT_EXEC)

/* In a leaf: the frame is shared. CPUs ignore it in both second-level formats (SDM 3C table 28-6, APM 2 5.4.1). */
#define PT_SHARED (1ull << 11)
/* Likewise: a device reads from the frame or writes to it, so it stays (p2m_pin). */
#define PT_PINNED (1ull << 52)
/* Likewise: while it is not dirty, the page is what it was when this was set (mem/origin.h). */
#define PT_ORIGIN (1ull << 53)

struct pt_format {
    const char *name;
    unsigned levels;
    unsigned type_shift; /* in a non-present entry: where the p2m_type is */
    uint64_t type_mask;  /* ... before the shift */
    uint64_t free;       /* bits of a non-present entry that the CPU ignores */
    uint64_t present;    /* an entry with any of these bits is present */
    uint64_t address;    /* of the next table or the page */
    uint64_t table;      /* set in every entry that names a table: all rights, the leaf decides */
    uint64_t leaf;       /* set in every leaf */
    uint64_t large;      /* set in a leaf above level 1 */
    uint64_t read, write, exec, no_exec, user, global, cached, uncached;
    uint64_t accessed, dirty;
};

extern const struct pt_format pt_format_ept;
extern const struct pt_format pt_format_npt;
extern const struct pt_format pt_format_host;

/* EPT pointer for tables at `root` (SDM 3C 24.6.11): write-back where it can, walk of 4, accessed and dirty
 * bits where IA32_VMX_EPT_VPID_CAP, given as `ept_vpid_cap`, offers them. */
uint64_t ept_pointer(hpa_t root, uint64_t ept_vpid_cap);
bool ept_accessed(uint64_t ept_vpid_cap);

/* ---- entries ---- */

static inline bool pt_present(const struct pt_format *f, uint64_t entry)
{
    return (entry & f->present) != 0;
}

static inline bool pt_is_table(const struct pt_format *f, uint64_t entry, unsigned level)
{
    return level > 1 && pt_present(f, entry) && !(entry & f->large);
}

static inline hpa_t pt_address(const struct pt_format *f, uint64_t entry)
{
    return entry & f->address;
}

static inline unsigned pt_type(const struct pt_format *f, uint64_t entry)
{
    return (unsigned)((entry >> f->type_shift) & f->type_mask);
}

static inline uint64_t pt_absent(const struct pt_format *f, unsigned type)
{
    return (uint64_t)type << f->type_shift;
}

static inline uint64_t pt_leaf(const struct pt_format *f, hpa_t hpa, unsigned level, unsigned rights)
{
    return hpa | f->leaf | (level > 1 ? f->large : 0) | (rights & PT_READ ? f->read : 0) |
           (rights & PT_WRITE ? f->write : 0) | (rights & PT_EXEC ? f->exec : f->no_exec) |
           (rights & PT_USER ? f->user : 0) | (rights & PT_GLOBAL ? f->global : 0) |
           (rights & PT_UNCACHED ? f->uncached : f->cached);
}

/* The CPU reads entries, and sets accessed and dirty bits in them, at any time. */
static inline uint64_t pt_load(const uint64_t *slot)
{
    return __atomic_load_n(slot, __ATOMIC_ACQUIRE);
}
static inline void pt_store(uint64_t *slot, uint64_t entry)
{
    __atomic_store_n(slot, entry, __ATOMIC_RELEASE);
}
static inline uint64_t pt_exchange(uint64_t *slot, uint64_t entry)
{
    return __atomic_exchange_n(slot, entry, __ATOMIC_ACQ_REL);
}

/* ---- walking; `page` is an address >> 12 ---- */

/* Pages that one entry of `level` covers. */
static inline uint64_t pt_span(unsigned level)
{
    return 1ull << (PT_INDEX_BITS * (level - 1));
}

static inline uint64_t *pt_slot(hpa_t table, unsigned level, uint64_t page)
{
    return (uint64_t *)hpa_to_virt(table) + ((page >> (PT_INDEX_BITS * (level - 1))) & (PT_ENTRIES - 1));
}

/* The entry that decides about `page`: a leaf or a non-present one; *level is where it stands. */
static inline uint64_t *pt_find(const struct pt_format *f, hpa_t root, uint64_t page, unsigned *level)
{
    unsigned l = f->levels;
    uint64_t *slot = pt_slot(root, l, page);
    uint64_t entry = pt_load(slot);

    while (pt_is_table(f, entry, l)) {
        slot = pt_slot(pt_address(f, entry), --l, page);
        entry = pt_load(slot);
    }
    *level = l;
    return slot;
}

/* Visits every entry of [from, to) that is not zero, in ascending order, and the tables themselves. Any hook
 * may be NULL. */
struct pt_visitor {
    /* A table entry, before what is below it; false: leave that out. */
    bool (*enter)(void *ctx, uint64_t *slot, uint64_t page, unsigned level);
    /* A leaf or a non-present entry. `page` is the first it covers, perhaps below `from`. */
    void (*entry)(void *ctx, uint64_t *slot, uint64_t page, unsigned level);
    /* A table entry, after what is below it. */
    void (*leave)(void *ctx, uint64_t *slot, uint64_t page, unsigned level);
};
void pt_visit(const struct pt_format *f, hpa_t root, uint64_t from, uint64_t to,
              const struct pt_visitor *visitor, void *ctx);

/* ---- building ---- */

/* A set of tables. The caller fills in all but root, which pt_create makes. */
struct pt {
    const struct pt_format *format;
    hpa_t root;
    /* A frame for a table page, its contents of no matter, or MFN_NONE; and the way back. */
    mfn_t (*table_alloc)(void *ctx);
    void (*table_free)(void *ctx, mfn_t mfn);
    void *ctx;
};

/* An empty root. False: table_alloc gave none. */
MUST_CHECK bool pt_create(struct pt *pt);
/* Frees the tables of [addr, addr + bytes) and the root, not what leaves name. Tables outside the range are
 * shared with others (pt_share) and left alone. No CPU may use the tables any more or have anything of them
 * cached. */
void pt_destroy(struct pt *pt, uint64_t addr, uint64_t bytes);
/* The entry of `page` at `level`, tables made and wide entries split on the way; NULL when table_alloc gave
 * none (the map is unchanged in meaning). An entry at a higher level than `level` is never returned. */
MUST_CHECK uint64_t *pt_ensure(struct pt *pt, uint64_t page, unsigned level);

/* Ranges in bytes, multiples of 4 KiB, that may wrap neither the address space nor the canonical hole. False:
 * table_alloc gave none; a part of the range may be changed already. Tables stay until pt_destroy. */

/* Maps [addr, addr + bytes) to `hpa` on, in leaves of at most level `largest` (1: 4 KiB, 2: 2 MiB, 3: 1 GiB)
 * where alignment allows; what was there is replaced. */
MUST_CHECK bool pt_map(struct pt *pt, uint64_t addr, hpa_t hpa, uint64_t bytes, unsigned rights,
                       unsigned largest);
/* Gives all leaves of the range new rights; what is not present stays so. */
MUST_CHECK bool pt_protect(struct pt *pt, uint64_t addr, uint64_t bytes, unsigned rights);
/* Every entry of the range becomes non-present: a guard page, or nothing. */
MUST_CHECK bool pt_unmap(struct pt *pt, uint64_t addr, uint64_t bytes);
/* Every entry of the range becomes non-present with this p2m_type, in entries as wide as alignment allows. */
MUST_CHECK bool pt_mark(struct pt *pt, uint64_t page, uint64_t count, unsigned type);

/* Root entries of `pt` for [addr, addr + bytes) become those of `from`, so that both see the same below them.
 */
void pt_share(struct pt *pt, const struct pt *from, uint64_t addr, uint64_t bytes);

/* Where an address leads: false when nowhere. Either of hpa and rights may be NULL. */
bool pt_lookup(const struct pt *pt, uint64_t addr, hpa_t *hpa, unsigned *rights);

#endif
