/* SPDX-License-Identifier: MIT
 *
 * Pages that are with their blocks on the guest's disk, against an exact reference: a word for each sector of each page and of each
 * guest's disk. CPUs write through what their TLBs have, as processors do; several requests of a disk are under way at once, move
 * their data bit by bit and fail in the middle; a guest writes where its disk does just then. What nobody can say then is taken for what it
 * is when the last request that touches it has ended, and must not change any more by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drv/disk.h"
#include "host_env.h"
#include "mem/direct.h"
#include "mem/compress.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/origin.h"
#include "mem/sample.h"
#include "mem/share.h"
#include "mem/swap.h"
#include "reference.h"

#define FRAMES  700u
#define VMS     2u
#define PAGES   256u
#define BLOCKS  48u
#define SECTORS (BLOCKS * PARTS + 3) /* of a partition */
#define PARTS   8u                   /* sectors of a page */
#define SLOTS   320u
#define FIRST   777u /* sectors of swap; partitions of guests come before it */
#define IOS     5u
#define PIECES  4u
#define PENDING 64u
#define TLB     6u

struct io {
    bool busy, writes, stale; /* stale: of a VM that is gone */
    struct origin_io origin;
    uint64_t sector;
    uint32_t count, moved; /* parts of all pieces */
    uint64_t watched;
    struct {
        gfn_t gfn;
        mfn_t mfn;
        uint32_t first, parts;
    } piece[PIECES];
};

struct guest {
    bool alive, lost;
    struct p2m p2m;
    struct sample sample;
    struct share_scan scan;
    uint64_t word[PAGES][PARTS];
    uint64_t block[SECTORS];
    uint32_t filling[PAGES], writing[SECTORS]; /* requests that do so just now */
    struct {
        gfn_t gfn;
        mfn_t mfn; /* MFN_NONE: nothing */
        bool dirty;
    } tlb[TLB];
};

static struct guest guests[VMS];
static struct io ios[VMS][IOS];
static uint64_t disk[VMS][SECTORS]; /* a word of each sector */
static uint8_t slots[SLOTS * PAGE_BYTES];
static struct disk_request *pending[PENDING];
static unsigned pending_count;
static bool may_fail, quiet, poll_wanted;
static uint64_t outs, writes_avoided, reads_avoided, back, waits, waited_writes, moved, lost, shared, moves,
    expanded, unexpanded;

static uint64_t some_word(void)
{
    return random_below(2) ? random_below(2) : random_below(1ull << 40);
}

/* Some are used more than others; and one, while a flush is under way, of which CPUs still have something in their TLBs. */
static gfn_t focus = PAGES;

static gfn_t some_gfn(void)
{
    if (focus < PAGES && random_below(2)) return focus;
    return random_below(4) ? random_below(PAGES / 4) : random_below(PAGES);
}

static unsigned number(const struct guest *g)
{
    return (unsigned)(g - guests);
}

/* Sectors of guest n's partition begin here. */
static uint64_t partition(unsigned n)
{
    return 5 + n * SECTORS;
}

static uint64_t *part_of(mfn_t mfn, uint32_t part)
{
    return (uint64_t *)mfn_to_virt(mfn) + part * DISK_SECTOR_BYTES / sizeof(uint64_t);
}

/* ---- swap's disk, and its way to guests' ---- */

const char *disk_status_text(enum disk_status status)
{
    return status == DISK_OK ? "ok" : "failed";
}

mfn_t disk_dma_limit(void)
{
    return FRAMES;
}

enum disk_status disk_submit(struct disk_request *r)
{
    if (may_fail && random_below(40) == 0) return DISK_BEYOND_END;
    check(pending_count < PENDING, "too many requests");
    pending[pending_count++] = r;
    r->status = DISK_PENDING;
    return DISK_OK;
}

/* Swap reads a block of a guest's partition. If it has changed, or changes just then, the hash tells, and swap_lost is called. */
static void read_block(uint64_t sector, uint8_t *page)
{
    const unsigned n = (unsigned)((sector - partition(0)) / SECTORS);
    const uint64_t first = sector - partition(n);

    check(n < VMS && first % PARTS == 0 && first + PARTS <= SECTORS, "a read of sector %lu", sector);
    memset(page, 0, PAGE_BYTES);
    for (uint32_t i = 0; i < PARTS; i++) {
        ((uint64_t *)(void *)page)[i * DISK_SECTOR_BYTES / 8] = disk[n][first + i];
    }
    back++;
}

static void transfer(struct disk_request *r)
{
    uint64_t at = r->sector;

    for (uint32_t i = 0; i < r->segment_count; i++, at += PARTS) {
        uint8_t *page = mfn_to_virt(r->segments[i].mfn);
        check(r->segments[i].bytes == PAGE_BYTES, "a segment of no page");
        check(at >= FIRST || (r->op == DISK_READ && r->disk == 1), "swap writes to a guest's disk");
        if (at < FIRST)
            read_block(at, page);
        else if (r->op == DISK_READ)
            memcpy(page, slots + (at - FIRST) * DISK_SECTOR_BYTES, PAGE_BYTES);
        else
            memcpy(slots + (at - FIRST) * DISK_SECTOR_BYTES, page, PAGE_BYTES);
    }
}

static void finish_one(void)
{
    if (!pending_count) return;
    const unsigned i = (unsigned)random_below(pending_count);
    struct disk_request *r = pending[i];
    pending[i] = pending[--pending_count];
    r->status = may_fail && random_below(60) == 0 ? DISK_FAILED : DISK_OK;
    if (r->status == DISK_OK) transfer(r);
    r->done(r);
}

/* ---- what vm/ provides ---- */

void swap_came(uint16_t owner, bool all)
{
    (void)owner, (void)all;
}

void swap_lost(uint16_t owner, gfn_t gfn, const char *why)
{
    check(may_fail, "gfn 0x%lx of VM %u is lost: %s", gfn, owner, why);
    check(strstr(why, "not what") == NULL, "gfn 0x%lx of VM %u is stale", gfn, owner);
    guests[owner - 1].lost = true;
    lost++;
}

void swap_write_failed(const char *why)
{
    (void)why;
}

void swap_wanted(void)
{
    poll_wanted = true;
}

/* ---- guests' CPUs ---- */

static uint64_t *entry_of(struct guest *g, gfn_t gfn)
{
    unsigned level;
    return pt_find(g->p2m.format, g->p2m.root, gfn, &level);
}

static void wrote(struct guest *g, gfn_t gfn, uint32_t part, uint64_t word)
{
    g->word[gfn][part] = word;
}

static void saw(struct guest *g, gfn_t gfn, uint32_t part, uint64_t word)
{
    check(g->filling[gfn] || word == g->word[gfn][part], "gfn 0x%lx, part %u: 0x%lx, not 0x%lx", gfn, part,
          word, g->word[gfn][part]);
}

/* By a translation that some CPU has; only a write that finds it not dirty goes to the entry (SDM 3A 4.10.2.2). */
static bool use_cached(struct guest *g)
{
    const uint32_t i = (uint32_t)random_below(TLB), part = (uint32_t)random_below(PARTS);

    if (g->tlb[i].mfn == MFN_NONE) return false;
    const gfn_t gfn = g->tlb[i].gfn;
    uint64_t *word = part_of(g->tlb[i].mfn, part);
    if (random_below(2)) {
        saw(g, gfn, part, *word);
    } else if (g->tlb[i].dirty) {
        *word = some_word();
        wrote(g, gfn, part, *word);
    } else {
        return false;
    }
    return true;
}

static void use(struct guest *g)
{
    if (random_below(3) == 0 && use_cached(g)) return;
    const gfn_t gfn = some_gfn();
    const uint32_t part = (uint32_t)random_below(PARTS);
    const gpa_t gpa = (gfn << PAGE_SHIFT) + part * DISK_SECTOR_BYTES;
    const bool writes = random_below(3) == 0;
    uint64_t word = writes ? some_word() : 0;
    enum p2m_touch got;

    if (random_below(4) == 0) { /* the core does it */
        got = !writes             ? p2m_read(&g->p2m, gpa, &word, 8)
              : random_below(3)   ? p2m_write(&g->p2m, gpa, &word, 8)
              : random_below(100) ? p2m_cmpxchg(&g->p2m, gpa, 8, g->word[gfn][part], word, &(uint64_t){0})
                                  : p2m_touch(&g->p2m, gfn, true);
        waits += got == P2M_TOUCH_WAIT;
        if (got != P2M_TOUCH_OK) return;
        /* A swap that met something else, or a touch, has written nothing: see what is there. */
        if (writes) check(p2m_read(&g->p2m, gpa, &word, 8) == P2M_TOUCH_OK, "gone at once");
        if (writes)
            wrote(g, gfn, part, word);
        else
            saw(g, gfn, part, word);
        return;
    }
    got = p2m_touch(&g->p2m, gfn, writes);
    check(got != P2M_TOUCH_HOLE, "gfn 0x%lx is a hole", gfn);
    waits += got == P2M_TOUCH_WAIT;
    if (got != P2M_TOUCH_OK) return;
    uint64_t *entry = entry_of(g, gfn);
    const uint64_t dirty = g->p2m.format->dirty;
    __atomic_fetch_or(entry, g->p2m.format->accessed | (writes ? dirty : 0), __ATOMIC_ACQ_REL);
    const uint64_t leaf = pt_load(entry);
    const mfn_t mfn = pt_address(g->p2m.format, leaf) >> PAGE_SHIFT;
    const uint32_t i = (uint32_t)random_below(TLB);
    g->tlb[i].gfn = gfn;
    g->tlb[i].mfn = mfn;
    g->tlb[i].dirty = writes;
    if (writes) {
        *part_of(mfn, part) = word;
        wrote(g, gfn, part, word);
    } else {
        saw(g, gfn, part, *part_of(mfn, part));
    }
}

static void io_start(struct guest *g);
static void io_go_on(unsigned n);
static bool starting; /* a request: others of this VM wait for its lock */

static void flush(struct p2m *p2m)
{
    struct guest *g = CONTAINER_OF(p2m, struct guest, p2m);

    if (!quiet) { /* other CPUs, and the disk, go on till they are told */
        quiet = true;
        focus = g->tlb[random_below(TLB)].gfn;
        for (uint32_t i = 0; i < TLB; i++) { /* best of all one that leaves and can still be written to */
            if (g->tlb[i].mfn != MFN_NONE && g->tlb[i].dirty &&
                !pt_present(g->p2m.format, pt_load(entry_of(g, g->tlb[i].gfn))))
                focus = g->tlb[i].gfn;
        }
        for (uint64_t n = random_below(6); n; n--) (void)use_cached(g);
        for (uint64_t n = random_below(3); n; n--) use(g);
        if (!starting && random_below(2)) {
            io_start(g);
            for (uint64_t n = random_below(9); n; n--) io_go_on(number(g));
            for (uint64_t n = random_below(9); n; n--) (void)use_cached(g);
        }
        focus = PAGES;
        quiet = false;
    }
    for (uint32_t i = 0; i < TLB; i++) g->tlb[i].mfn = MFN_NONE;
}

/* ---- guests' disks: what vm/vm_disk.c does, in the same order ---- */

static void release(struct guest *g, struct io *io)
{
    for (uint32_t i = 0; i < io->count; i++) p2m_unpin(&g->p2m, io->piece[i].gfn, io->piece[i].mfn);
    io->count = 0;
}

static uint32_t parts(const struct io *io)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < io->count; i++) sum += io->piece[i].parts;
    return sum;
}

/* Counts the request where it changes things, or, at its end, no more; what is there then is so from now on. */
static void change(struct guest *g, const struct io *io, int by)
{
    uint64_t sector = io->sector;

    for (uint32_t i = 0; i < io->count; i++) {
        const gfn_t gfn = io->piece[i].gfn;
        if (!io->writes) {
            g->filling[gfn] += (uint32_t)by;
            for (uint32_t p = 0; p < PARTS && !g->filling[gfn]; p++)
                g->word[gfn][p] = *part_of(io->piece[i].mfn, p);
        }
        for (uint32_t p = 0; p < io->piece[i].parts; p++, sector++) {
            if (!io->writes) continue;
            g->writing[sector] += (uint32_t)by;
            if (!g->writing[sector]) g->block[sector] = disk[number(g)][sector];
        }
    }
}

static void io_start(struct guest *g)
{
    struct io *io = &ios[number(g)][random_below(IOS)];
    struct {
        gfn_t gfn;
        uint32_t first, parts;
    } want[PIECES];
    const uint32_t count = 1 + (uint32_t)random_below(PIECES);
    uint32_t all = 0;

    if (io->busy) return;
    for (uint32_t i = 0; i < count; i++) {
        want[i].gfn = some_gfn();
        want[i].first = random_below(6) ? 0 : (uint32_t)random_below(PARTS);
        want[i].parts =
            random_below(6) ? PARTS - want[i].first : 1 + (uint32_t)random_below(PARTS - want[i].first);
        all += want[i].parts;
    }
    io->writes = random_below(3) == 0;
    io->sector = random_below(5) ? random_below(BLOCKS - PIECES) * PARTS : random_below(SECTORS - all + 1);
    starting = true;
    enum p2m_touch touch = origin_start(&g->p2m, &io->origin, io->writes, io->sector, all);
    waited_writes += touch != P2M_TOUCH_OK;
    /* Pages that a write has waited for do not go back to their blocks before it. */
    if (touch == P2M_TOUCH_WAIT && !may_fail && !quiet && random_below(4) == 0) {
        for (unsigned round = 0; touch == P2M_TOUCH_WAIT; round++) {
            uint32_t looked;
            check(round < 3, "a write to sector %lu waits for ever", io->sector);
            while (pending_count) finish_one();
            for (unsigned i = 0; i < 10; i++) outs += swap_out(&g->p2m, 16, SWAP_RANDOM, &looked);
            touch = origin_start(&g->p2m, &io->origin, io->writes, io->sector, all);
        }
    }
    starting = touch == P2M_TOUCH_OK;
    if (!starting) return;
    io->watched = 0;
    io->count = io->moved = 0;
    FLUSH_BATCH(batch, &g->p2m);
    for (uint32_t i = 0, at = 0; i < count && touch == P2M_TOUCH_OK; at += want[i++].parts) {
        const gfn_t gfn = want[i].gfn;
        mfn_t mfn;
        if (!io->writes && want[i].parts == PARTS) {
            const uint64_t avoided = g->p2m.swap.reads_avoided + g->p2m.store.expands_avoided;
            origin_overwrite(&g->p2m, gfn);
            if (g->p2m.swap.reads_avoided + g->p2m.store.expands_avoided != avoided)
                memset(g->word[gfn], 0, sizeof g->word[gfn]);
        }
        touch = p2m_pin(&g->p2m, gfn, !io->writes, &mfn);
        if (touch != P2M_TOUCH_OK) break;
        if (mfn == MFN_NONE) { /* shared: copied out, which here is no request at all */
            touch = P2M_TOUCH_HOLE;
            break;
        }
        io->piece[io->count].gfn = gfn;
        io->piece[io->count].mfn = mfn;
        io->piece[io->count].first = want[i].first;
        io->piece[io->count].parts = want[i].parts;
        const bool whole = want[i].parts == PARTS && (io->sector + at) % PARTS == 0;
        io->watched |= (uint64_t)origin_watch(&g->p2m, gfn, !io->writes, whole, &batch) << io->count++;
    }
    flush_discharge(&batch);
    starting = false;
    if (touch != P2M_TOUCH_OK || random_below(100) == 0) {
        origin_end(&g->p2m, &io->origin);
        release(g, io);
        return;
    }
    io->busy = true;
    io->stale = false;
    change(g, io, 1);
}

static void io_move(unsigned n, struct io *io)
{
    uint32_t i = 0, at = io->moved;

    while (at >= io->piece[i].parts) at -= io->piece[i++].parts;
    uint64_t *word = part_of(io->piece[i].mfn, io->piece[i].first + at);
    if (io->writes)
        disk[n][io->sector + io->moved++] = *word;
    else
        *word = disk[n][io->sector + io->moved++];
}

static void io_end(unsigned n, struct io *io, bool ok)
{
    struct guest *g = &guests[n];
    uint64_t sector = io->sector;

    io->busy = false;
    if (io->stale) {
        release(g, io);
        return;
    }
    if (ok) moved++;
    for (uint32_t i = 0; ok && i < io->count; sector += io->piece[i++].parts) {
        if (io->watched >> i & 1)
            origin_moved(&g->p2m, &io->origin, io->piece[i].gfn, io->piece[i].mfn, sector);
    }
    change(g, io, -1);
    origin_end(&g->p2m, &io->origin);
    release(g, io);
}

static void io_go_on(unsigned n)
{
    struct io *io = &ios[n][random_below(IOS)];

    for (uint64_t k = random_below(2) ? 1 : PARTS; io->busy && k && io->moved < parts(io); k--)
        io_move(n, io);
}

static void io_step(unsigned n)
{
    struct io *io = &ios[n][random_below(IOS)];

    if (!io->busy) return;
    for (uint64_t k = random_below(2) ? 1 : PARTS; k && io->moved < parts(io); k--) io_move(n, io);
    if (may_fail && random_below(30) == 0)
        io_end(n, io, false);
    else if (io->moved == parts(io))
        io_end(n, io, true);
}

/* ---- life ---- */

static void create(struct guest *g)
{
    const struct p2m_range range = {.start = 0, .count = PAGES};
    const unsigned n = number(g);

    for (unsigned i = 0; i < IOS; i++) {
        if (ios[n][i].busy) return; /* the partition is in use */
    }
    memset(g, 0, sizeof *g);
    if (!p2m_create(&g->p2m, random_below(2) ? &pt_format_ept : &pt_format_npt, (uint16_t)(n + 1), &range, 1))
        return;
    g->p2m.flush = flush;
    g->p2m.sample = &g->sample;
    g->sample.accessed = random_below(2);
    g->sample.random = 1;
    for (uint32_t i = 0; i < TLB; i++) g->tlb[i].mfn = MFN_NONE;
    memcpy(g->block, disk[n], sizeof g->block);
    g->alive = true;
    share_set_group(&g->p2m, 1);
    origin_avoid(&g->p2m, true);
    if (!swap_reserve(&g->p2m, 20 + random_below(PAGES - 20)))
        check(swap_reserve(&g->p2m, 0), "nothing, and not to be had");
    if (random_below(10) && !origin_create(&g->p2m, 1, partition(n)))
        check(!g->p2m.origin, "no memory, and yet a table");
}

static void end(struct guest *g)
{
    shared += g->p2m.sharing.hits + g->p2m.sharing.hint_hits;
    writes_avoided += g->p2m.swap.writes_avoided;
    reads_avoided += g->p2m.swap.reads_avoided;
    expanded += g->p2m.store.hits;
    unexpanded += g->p2m.store.expands_avoided;
    for (uint32_t s = 0; s < SECTORS; s++) {
        check(g->writing[s] || disk[number(g)][s] == g->block[s], "sector %u is not what was written", s);
    }
    for (unsigned i = 0; i < IOS; i++) ios[number(g)][i].stale = true;
    quiet = true;
    p2m_destroy(&g->p2m);
    quiet = false;
    memset(&g->p2m, 0xee, sizeof g->p2m); /* nobody may look there any more */
    g->alive = false;
}

static bool is_pinned(const struct guest *g, gfn_t gfn)
{
    for (unsigned i = 0; i < IOS; i++) {
        const struct io *io = &ios[number(g)][i];
        for (uint32_t p = 0; io->busy && p < io->count; p++) {
            if (io->piece[p].gfn == gfn) return true;
        }
    }
    return false;
}

static void give_away(struct guest *g)
{
    const gfn_t from = random_below(PAGES - 8);
    FLUSH_BATCH(batch, &g->p2m);

    for (gfn_t gfn = from; gfn < from + 8; gfn++) {
        if (is_pinned(g, gfn)) continue; /* it would stay what it is */
        memset(g->word[gfn], 0, sizeof g->word[gfn]);
        if (random_below(2)) {
            (void)p2m_discard(&g->p2m, gfn, 1, &batch);
            continue;
        }
        (void)!p2m_balloon(&g->p2m, gfn, &batch);
        (void)p2m_unballoon(&g->p2m, gfn);
    }
    quiet = true;
    flush_discharge(&batch);
    quiet = false;
}

/* The guest reboots; its disk goes on. */
static void reset(struct guest *g)
{
    const unsigned n = number(g);

    for (unsigned i = 0; i < IOS; i++) {
        struct io *io = &ios[n][i];
        for (uint32_t p = 0; io->busy && !io->writes && p < io->count; p++) g->filling[io->piece[p].gfn]--;
    }
    quiet = true;
    p2m_reset(&g->p2m);
    quiet = false;
    memset(g->word, 0, sizeof g->word);
    /* Requests end as requests of nobody do, but that what they write counts. */
    while (true) {
        bool busy = false;
        for (unsigned i = 0; i < IOS; i++) {
            struct io *io = &ios[n][i];
            if (!io->busy) continue;
            busy = true;
            if (io->moved < parts(io)) io_move(n, io);
            if (io->moved < parts(io)) continue;
            uint64_t sector = io->sector;
            for (uint32_t p = 0; p < io->count; sector += io->piece[p++].parts) {
                if (io->watched >> p & 1)
                    origin_moved(&g->p2m, &io->origin, io->piece[p].gfn, io->piece[p].mfn, sector);
            }
            if (io->writes) change(g, io, -1);
            origin_end(&g->p2m, &io->origin);
            release(g, io);
            io->busy = false;
        }
        if (!busy) break;
        use(g);
    }
}

static void move_some(struct guest *g)
{
    gfn_t gfns[P2M_MOVE_MAX];
    enum p2m_move outcome[P2M_MOVE_MAX];
    const mfn_t from = random_below(2) ? FRAMES / 2 : 0;
    const gfn_t first = random_below(PAGES - P2M_MOVE_MAX);
    const uint32_t count = 1 + (uint32_t)random_below(P2M_MOVE_MAX);

    for (uint32_t i = 0; i < count; i++) gfns[i] = first + i;
    p2m_move(&g->p2m, gfns, count, from, from + FRAMES / 2, outcome);
    for (uint32_t i = 0; i < count; i++) moves += outcome[i] == P2M_MOVE_DONE;
}

static void compare(void)
{
    struct p2m *maps[VMS];
    struct tithe_ledger ledger;
    size_t n = 0;

    for (unsigned i = 0; i < VMS; i++) {
        if (guests[i].alive) maps[n++] = &guests[i].p2m;
    }
    ledger_check(maps, n, &ledger);
    check(ledger.differences == 0, "ledger: %s", ledger.first);
}

static void one_step(void)
{
    const unsigned n = (unsigned)random_below(VMS);
    struct guest *g = &guests[n];
    uint32_t looked;

    if (poll_wanted) {
        poll_wanted = false;
        swap_poll();
    }
    if (g->alive && g->lost) end(g);
    if (!g->alive) create(g);
    if (!g->alive) {
        finish_one();
        io_step(n);
        return;
    }
    switch (random_below(28)) {
    case 0:
    case 1:
        outs += swap_out(&g->p2m, 1 + (uint32_t)random_below(16), random_below(2) ? SWAP_COLD : SWAP_RANDOM,
                         &looked);
        break;
    case 2: (void)swap_prefetch(&g->p2m, 1 + (uint32_t)random_below(16), &looked); break;
    case 3:
        if (random_below(8) == 0) give_away(g);
        break;
    case 4:
        if (random_below(300) == 0) reset(g);
        break;
    case 5:
        if (random_below(600) == 0) end(g);
        break;
    case 6:
        if (random_below(100) == 0) compare();
        if (random_below(50) == 0)
            compress_set_limit(&g->p2m, random_below(3) * random_below(30), COMPRESS_PERCENT_MAX);
        if (random_below(20) == 0) (void)swap_evict(&g->p2m);
        if (random_below(100) == 0) origin_avoid(&g->p2m, random_below(3) != 0);
        break;
    case 7:
        if (random_below(8) == 0) move_some(g);
        if (random_below(4) == 0) share_scan(&g->p2m, &g->scan, SHARE_SCAN_MAX);
        break;
    case 8:
        if (random_below(20) == 0) sample_ask(&g->p2m, random_below(60), random_below(2), UINT64_MAX);
        (void)sample_step(&g->p2m, step, step);
        break;
    case 9:
    case 10: finish_one(); break;
    case 11:
    case 12:
    case 13: io_start(g); break;
    case 14:
    case 15:
    case 16:
    case 17:
    case 18: io_step(n); break;
    default: use(g); break;
    }
}

static void run(uint64_t the_seed, uint64_t steps, bool fail)
{
    seed = the_seed;
    random_begin();
    may_fail = fail;
    host_env_reset(FRAMES);
    frames_init(mfn_to_virt(0), FRAMES);
    const uint64_t table = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_add(0, table, FRAME_CORE);
    frames_add(table, FRAMES - table, FRAME_FREE);
    frames_set_reserve(8);
    check(swap_init(0, FIRST, SLOTS), "no swap");
    for (step = 0; step < steps; step++) one_step();
    for (unsigned n = 0; n < VMS; n++) {
        for (unsigned i = 0; i < IOS; i++) {
            while (ios[n][i].busy) {
                if (ios[n][i].moved < parts(&ios[n][i]))
                    io_move(n, &ios[n][i]);
                else
                    io_end(n, &ios[n][i], true);
            }
        }
    }
    while (pending_count || poll_wanted) {
        poll_wanted = false;
        swap_poll();
        finish_one();
    }
    compare();
    for (unsigned i = 0; i < VMS; i++) {
        if (guests[i].alive) end(&guests[i]);
    }
    compare();
    struct swap_counts c;
    swap_counts(&c);
    check(c.free + c.bad == SLOTS && c.corrupt == 0, "%lu free, %lu bad, %lu corrupt", c.free, c.bad,
          c.corrupt);
}

static void done(const char *what)
{
    static unsigned tests;

    printf("# %lu out, %lu writes avoided, %lu reads avoided, %lu back from their blocks, %lu waits, %lu "
           "requests waited, %lu "
           "moved, %lu lost, %lu shared, %lu moved to other frames, %lu expanded, %lu not needed\n",
           outs, writes_avoided, reads_avoided, back, waits, waited_writes, moved, lost, shared, moves,
           expanded, unexpanded);
    check(outs && writes_avoided && reads_avoided && back && waits && waited_writes && moved && shared &&
              moves && expanded && unexpanded,
          "not everything was tried");
    printf("ok %u - %s\n", ++tests, what);
    outs = writes_avoided = reads_avoided = back = waits = waited_writes = moved = shared = moves = expanded =
        unexpanded = 0;
}

int main(int argc, char **argv)
{
    const uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 200000;

    printf("1..2\n");
    for (uint64_t s = 1; s <= 2; s++) run(s, steps, false);
    done("pages that are with their blocks");
    for (uint64_t s = 1; s <= 4; s++) run(s, steps / 4, true);
    check(lost != 0, "no page was lost");
    done("... on disks that fail");
    host_env_end();
    return 0;
}
