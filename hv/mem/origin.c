/* SPDX-License-Identifier: MIT
 *
 * What is known is in a table by page, chained by block. Chains are bounded, for a guest can read one block into all of its pages, or
 * choose blocks that fall into one chain.
 */
#include "mem/origin.h"

#include "lib/log.h"
#include "mem/compress.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/swap.h"

#define CHAIN_MAX 8u

/* Blocks are numbered from 1 here: 0 is none. Those behind 4 TiB are not noted. */
#define BLOCK 0x3fffffffu
#define AWAY  0x80000000u /* the page is kept only in its block */
#define NOT_WANTED                                                                                           \
    0x40000000u /* ... which is about to be written: when the page is back, it is not known any more */

struct origin {
    uint32_t disk;
    uint32_t shift; /* of a hash to the number of its bucket */
    uint64_t first_sector, frames, away;
    struct origin_io *ios;
    uint32_t *bucket; /* gfn + 1 of the first in the chain; 0: none */
    struct origin_page {
        uint32_t block, next;
    } page[]; /* by gfn */
};

static uint32_t *bucket_of(const struct origin *o, uint32_t block)
{
    return &o->bucket[block * 0x9e3779b1u >> o->shift];
}

bool origin_create(struct p2m *p2m, uint32_t disk, uint64_t first_sector)
{
    uint32_t bits = 1;

    if (p2m->limit >= UINT32_MAX) return false;
    while (bits < 31 && 2ull << bits <= p2m->limit) bits++;
    const uint64_t records = sizeof(struct origin) + p2m->limit * sizeof(struct origin_page);
    const uint64_t bytes = records + (sizeof(uint32_t) << bits);
    const uint64_t frames = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
    const mfn_t mfn = frame_alloc_run(frames, 1);
    if (mfn == MFN_NONE) return false;
    struct origin *o = mfn_to_virt(mfn);
    o->disk = disk;
    o->first_sector = first_sector;
    o->frames = frames;
    o->shift = 32 - bits;
    o->bucket = (uint32_t *)(void *)((uint8_t *)o + records);
    lock_acquire(&p2m->lock);
    p2m->origin = o;
    lock_release(&p2m->lock);
    return true;
}

void origin_avoid(struct p2m *p2m, bool avoids)
{
    lock_acquire(&p2m->lock);
    p2m->swap.avoids = avoids;
    lock_release(&p2m->lock);
}

void origin_destroy(struct p2m *p2m)
{
    struct origin *o = p2m->origin;

    if (!o) return;
    if (o->away) panic("VM slot %u: %lu pages are in its disk, and it ends", p2m->owner, o->away);
    p2m->origin = NULL;
    frame_free_run(virt_to_hpa(o) >> PAGE_SHIFT, o->frames);
}

/* ---- the table ---- */

static void unlink_page(struct origin *o, gfn_t gfn)
{
    struct origin_page *page = &o->page[gfn];

    if (!(page->block & BLOCK)) return;
    uint32_t *at = bucket_of(o, page->block & BLOCK);
    while (*at != gfn + 1) at = &o->page[*at - 1].next;
    *at = page->next;
    o->away -= (page->block & AWAY) != 0;
    *page = (struct origin_page){0};
}

static void link_page(struct origin *o, gfn_t gfn, uint32_t block)
{
    uint32_t *bucket = bucket_of(o, block), length = 0, gives_way = 0;

    for (uint32_t at = *bucket; at; at = o->page[at - 1].next, length++) {
        if (!(o->page[at - 1].block & AWAY)) gives_way = at;
    }
    if (length >= CHAIN_MAX) {
        if (!gives_way) return;
        unlink_page(o, gives_way - 1);
    }
    o->page[gfn] = (struct origin_page){.block = block, .next = *bucket};
    *bucket = (uint32_t)gfn + 1;
}

/* 0: it is not noted. */
static uint32_t block_at(uint64_t sector)
{
    const uint64_t block = sector / ORIGIN_BLOCK_SECTORS + 1;

    return block <= BLOCK ? (uint32_t)block : 0;
}

/* ---- requests ---- */

/* Nothing is known of the block any more. OK, or why that has to wait. */
static enum p2m_touch end_block(struct p2m *p2m, uint32_t block)
{
    struct origin *o = p2m->origin;
    enum p2m_touch result = P2M_TOUCH_OK;
    uint32_t next;

    for (uint32_t at = *bucket_of(o, block); at; at = next) {
        struct origin_page *page = &o->page[at - 1];
        unsigned level;
        mfn_t mfn;
        next = page->next;
        if ((page->block & BLOCK) != block) continue;
        if (!(page->block & AWAY)) {
            unlink_page(o, at - 1);
            continue;
        }
        page->block |= NOT_WANTED;
        const enum p2m_touch touch = swap_touch(p2m, at - 1, p2m_find(p2m, at - 1, &level), &mfn);
        if (result != P2M_TOUCH_NO_MEMORY) result = touch;
    }
    return result;
}

static bool meet(const struct origin_io *a, const struct origin_io *b)
{
    return (a->writes || b->writes) && a->sector < b->sector + b->sectors &&
           b->sector < a->sector + a->sectors;
}

enum p2m_touch origin_start(struct p2m *p2m, struct origin_io *io, bool writes, uint64_t sector,
                            uint64_t sectors)
{
    enum p2m_touch result = P2M_TOUCH_OK;

    *io = (struct origin_io){.sector = sector, .sectors = sectors, .writes = writes};
    if (!p2m->origin) return result;
    lock_acquire(&p2m->lock);
    for (uint64_t at = sector & ~(ORIGIN_BLOCK_SECTORS - 1ull); writes && at < sector + sectors;
         at += ORIGIN_BLOCK_SECTORS) {
        const enum p2m_touch touch = block_at(at) ? end_block(p2m, block_at(at)) : P2M_TOUCH_OK;
        if (touch != P2M_TOUCH_OK) result = touch;
    }
    if (result == P2M_TOUCH_OK) {
        for (struct origin_io *other = p2m->origin->ios; other; other = other->next) {
            if (meet(io, other)) io->spoiled = other->spoiled = true;
        }
        io->next = p2m->origin->ios;
        p2m->origin->ios = io;
    }
    lock_release(&p2m->lock);
    return result;
}

void origin_end(struct p2m *p2m, struct origin_io *io)
{
    if (!p2m->origin) return;
    lock_acquire(&p2m->lock);
    struct origin_io **at = &p2m->origin->ios;
    while (*at && *at != io) at = &(*at)->next;
    if (*at) *at = io->next;
    lock_release(&p2m->lock);
}

void origin_overwrite(struct p2m *p2m, gfn_t gfn)
{
    unsigned level;
    FLUSH_BATCH(batch, p2m);

    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, gfn, &level);
    const uint64_t entry = slot && p2m->swap.avoids ? pt_load(slot) : 0;
    const enum p2m_type type = p2m_entry_type(p2m->format, entry);
    if (type == P2M_SWAPPED && swap_frame(p2m, entry) == MFN_NONE) {
        pt_store(slot, pt_absent(p2m->format, P2M_UNTOUCHED));
        swap_drop(p2m, entry, &batch);
        p2m->swap.reads_avoided++;
    } else if (type == P2M_COMPRESSED && !compress_in_transit(p2m, entry)) {
        pt_store(slot, pt_absent(p2m->format, P2M_UNTOUCHED));
        compress_drop(p2m, gfn, entry, &batch);
        p2m->store.expands_avoided++;
    }
    lock_release(&p2m->lock);
}

bool origin_watch(struct p2m *p2m, gfn_t gfn, bool fills, bool whole, struct flush_batch *batch)
{
    const uint64_t dirty = p2m->format->dirty;
    unsigned level;
    bool watched = false;

    if (!p2m->origin) return false;
    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, gfn, &level);
    if (p2m_entry_type(p2m->format, pt_load(slot)) == P2M_SAMPLED) (void)sample_restore(p2m, slot, true);
    const mfn_t mfn = p2m_entry_mfn(p2m->format, pt_load(slot));
    /* A page that another transfer works on, too, has neither's contents. */
    if (whole && p2m->swap.avoids && frame_pool.table[mfn].check == 1) {
        /* Where the bit was clear, no CPU can write without setting it (SDM 3C 28.3.5; APM 2 15.25.7). */
        if (__atomic_fetch_and(slot, ~(dirty | PT_ORIGIN), __ATOMIC_ACQ_REL) & dirty) batch->owed = true;
        watched = true;
    } else if (fills) {
        __atomic_fetch_or(slot, dirty, __ATOMIC_ACQ_REL);
    }
    lock_release(&p2m->lock);
    return watched;
}

void origin_moved(struct p2m *p2m, const struct origin_io *io, gfn_t gfn, mfn_t mfn, uint64_t sector)
{
    const uint32_t block = block_at(sector);
    unsigned level;

    if (!p2m->origin || io->spoiled || !block) return;
    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, gfn, &level);
    const uint64_t entry = slot ? pt_load(slot) : 0;
    /* The VM may have been reset meanwhile, or a sample have the entry. */
    if (p2m_entry_type(p2m->format, entry) == P2M_PRESENT && p2m_entry_mfn(p2m->format, entry) == mfn &&
        frame_state_of(&frame_pool.table[mfn]) == FRAME_PINNED && !(entry & p2m->format->dirty)) {
        unlink_page(p2m->origin, gfn);
        link_page(p2m->origin, gfn, block);
        __atomic_fetch_or(slot, PT_ORIGIN, __ATOMIC_ACQ_REL);
    }
    lock_release(&p2m->lock);
}

/* ---- pages that leave and come back ---- */

bool origin_is_clean(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    return p2m->origin && p2m->swap.avoids && (entry & (PT_ORIGIN | p2m->format->dirty)) == PT_ORIGIN &&
           p2m->origin->page[gfn].block;
}

void origin_leave(struct p2m *p2m, gfn_t gfn)
{
    p2m->origin->page[gfn].block |= AWAY;
    p2m->origin->away++;
}

void origin_place(const struct p2m *p2m, gfn_t gfn, uint32_t *disk, uint64_t *sector)
{
    const struct origin *o = p2m->origin;

    if (!origin_is_away(p2m, gfn)) panic("VM slot %u, gfn 0x%lx: not with its block", p2m->owner, gfn);
    *disk = o->disk;
    *sector = o->first_sector + ((o->page[gfn].block & BLOCK) - 1ull) * ORIGIN_BLOCK_SECTORS;
}

bool origin_return(struct p2m *p2m, gfn_t gfn)
{
    struct origin_page *page = &p2m->origin->page[gfn];

    if (page->block & NOT_WANTED) {
        unlink_page(p2m->origin, gfn);
        return false;
    }
    page->block &= BLOCK;
    p2m->origin->away--;
    return true;
}

void origin_forget(struct p2m *p2m, gfn_t gfn)
{
    unlink_page(p2m->origin, gfn);
}

void origin_written(const struct p2m *p2m, uint64_t *slot)
{
    __atomic_fetch_or(slot, p2m->format->dirty, __ATOMIC_ACQ_REL);
}

bool origin_is_away(const struct p2m *p2m, gfn_t gfn)
{
    return p2m->origin && p2m->origin->page[gfn].block & AWAY;
}

uint64_t origin_away(const struct p2m *p2m)
{
    return p2m->origin ? p2m->origin->away : 0;
}
