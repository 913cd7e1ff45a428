/* SPDX-License-Identifier: MIT
 *
 * Host swap and compression, with sharing beside them, against the plainest reference there is: one word and one pattern for each page of each guest. A disk made of
 * memory finishes requests in any order, fails, loses writes and tears them; guests come at any moment between two steps, also while
 * a flush is under way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drv/disk.h"
#include "host_env.h"
#include "mem/compress.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/share.h"
#include "mem/store.h"
#include "mem/swap_table.h"
#include "reference.h"

#define FRAMES  900u
#define VMS     3u
#define PAGES   400u
#define SLOTS   640u
#define FIRST   777u /* sector */
#define PENDING 64u
#define NEVER   UINT64_MAX
#define COLOURS 4u

struct guest {
    bool alive;
    bool lost; /* told so by swap_lost */
    struct p2m p2m;
    uint64_t word[PAGES];   /* 0: never written, or given away */
    uint8_t pattern[PAGES]; /* of the words from FILL on */
    bool ballooned[PAGES];
    struct share_scan scan;
};

static struct guest guests[VMS];
static uint8_t disk[SLOTS * PAGE_BYTES];
static struct disk_request *pending[PENDING];
static unsigned pending_count;
static bool may_fail, may_lie, gone, quiet, poll_wanted, lost_allowed;
static uint64_t outs, ins, waits, taken_back, moved, stopped, write_failures, shared, unwritten;
static uint64_t poor, full, expanded, evicted, written;

/* ---- the disk ---- */

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
    if (gone) return DISK_NO_DISK;
    if (may_fail && random_below(40) == 0) return DISK_NO_DISK + 2; /* beyond the end: any refusal */
    check(pending_count < PENDING, "too many requests");
    pending[pending_count++] = r;
    r->status = DISK_PENDING;
    return DISK_OK;
}

static void transfer(struct disk_request *r)
{
    uint64_t at = (r->sector - FIRST) * DISK_SECTOR_BYTES;
    const bool torn = may_lie && r->op == DISK_WRITE && random_below(20) == 0;
    const uint32_t whole = torn ? (uint32_t)random_below(r->segment_count) : r->segment_count;

    for (uint32_t i = 0; i < r->segment_count; i++, at += PAGE_BYTES) {
        uint8_t *page = mfn_to_virt(r->segments[i].mfn);
        check(r->segments[i].bytes == PAGE_BYTES && at + PAGE_BYTES <= sizeof disk, "a segment of no page");
        if (r->op == DISK_READ)
            memcpy(page, disk + at, PAGE_BYTES);
        else
            memcpy(disk + at, page, i < whole ? PAGE_BYTES : i == whole ? random_below(8) * 512 : 0);
    }
}

static void finish_one(void)
{
    if (!pending_count) return;
    const unsigned i = (unsigned)random_below(pending_count);
    struct disk_request *r = pending[i];
    pending[i] = pending[--pending_count];
    if (gone) {
        r->status = DISK_NO_DISK;
    } else if (may_fail && random_below(12) == 0) {
        r->status = DISK_FAILED;
        if (random_below(2)) transfer(r); /* and yet some of it may be there */
    } else {
        transfer(r);
        r->status = DISK_OK;
    }
    r->done(r);
}

/* ---- what vm/ provides ---- */

void swap_came(uint16_t owner, bool all)
{
    (void)owner, (void)all;
}

void swap_lost(uint16_t owner, gfn_t gfn, const char *why)
{
    check(lost_allowed, "gfn 0x%lx of VM %u is lost: %s", gfn, owner, why);
    guests[owner - 1].lost = true;
}

void swap_write_failed(const char *why)
{
    (void)why;
    write_failures++;
}

void swap_wanted(void)
{
    poll_wanted = true;
}

/* ---- guests ---- */

static void use(struct guest *g);

/* What some CPU's TLB has of the guest whose pages go out: a page's place in memory, till the flush. */
static struct {
    mfn_t mfn;
    gfn_t gfn;
} stale = {.mfn = MFN_NONE};

/* Where in a page its word is; few places and values, so that pages are equal. */
static uint64_t place_of(gfn_t gfn)
{
    return gfn % 2;
}

static uint64_t some_word(void)
{
    return random_below(3) ? random_below(1ull << 40) : random_below(3);
}

static void remember(struct guest *g)
{
    unsigned level;
    stale.gfn = random_below(PAGES / 4);
    const uint64_t entry = pt_load(pt_find(g->p2m.format, g->p2m.root, stale.gfn, &level));
    stale.mfn = level == 1 && entry & g->p2m.format->write && pt_present(g->p2m.format, entry)
                    ? pt_address(g->p2m.format, entry) >> PAGE_SHIFT
                    : MFN_NONE;
}

static void flush(struct p2m *p2m)
{
    if (stale.mfn != MFN_NONE && !quiet) {
        struct guest *g = CONTAINER_OF(p2m, struct guest, p2m);
        g->word[stale.gfn] = some_word();
        ((uint64_t *)mfn_to_virt(stale.mfn))[place_of(stale.gfn)] = g->word[stale.gfn];
    }
    stale.mfn = MFN_NONE;
    if (quiet) return;
    /* Another CPU goes on meanwhile. */
    quiet = true;
    for (uint64_t n = random_below(4); n; n--) use(CONTAINER_OF(p2m, struct guest, p2m));
    quiet = false;
}

/* ---- what the rest of a page is filled with: from nothing to noise ---- */

#define FILL     2u
#define WORDS    (PAGE_BYTES / 8)
#define PATTERNS 6u

static uint64_t pattern_word(uint8_t pattern, uint64_t i)
{
    static const uint64_t noisy[PATTERNS] = {0, 20, 90, 180, 300, WORDS};
    return i - FILL < noisy[pattern] ? (i + 1) * (pattern + 7) * 0x9e3779b97f4a7c15 : 0;
}

static void fill(struct guest *g, gfn_t gfn)
{
    const uint8_t pattern = (uint8_t)random_below(PATTERNS);
    uint64_t words[WORDS];

    for (uint64_t i = FILL; i < WORDS; i++) words[i] = pattern_word(pattern, i);
    if (p2m_write(&g->p2m, (gfn << PAGE_SHIFT) + 8 * FILL, words + FILL, sizeof words - 8 * FILL) ==
        P2M_TOUCH_OK)
        g->pattern[gfn] = pattern;
}

static void look(struct guest *g, gfn_t gfn)
{
    const uint64_t i = FILL + random_below(WORDS - FILL);
    uint64_t word;

    if (p2m_read(&g->p2m, (gfn << PAGE_SHIFT) + 8 * i, &word, 8) != P2M_TOUCH_OK) return;
    check(word == pattern_word(g->pattern[gfn], i), "gfn 0x%lx, word %lu: 0x%lx of pattern %u", gfn, i, word,
          g->pattern[gfn]);
}

static void create(struct guest *g)
{
    const struct p2m_range range = {.start = 0, .count = PAGES};

    memset(g, 0, sizeof *g);
    if (!p2m_create(&g->p2m, random_below(2) ? &pt_format_ept : &pt_format_npt, (uint16_t)(g - guests + 1),
                    &range, 1)) {
        return;
    }
    g->p2m.flush = flush;
    g->alive = true;
    share_set_group(&g->p2m, 1);
    if (!swap_reserve(&g->p2m, 50 + random_below(PAGES - 50)))
        check(swap_reserve(&g->p2m, 0), "nothing, and not to be had");
}

/* The guest writes or reads a word; the accessed bit is set as a CPU would. */
static void use(struct guest *g)
{
    const gfn_t gfn = random_below(4) ? random_below(PAGES / 4) : random_below(PAGES);
    const gpa_t gpa = (gfn << PAGE_SHIFT) + 8 * place_of(gfn);
    const bool writes = random_below(2);
    uint64_t word = writes ? some_word() : 0;
    const uint64_t held = g->p2m.swap.pages;

    if (random_below(4) == 0) fill(g, gfn);
    if (random_below(3) == 0) look(g, gfn);

    const enum p2m_touch got = writes ? p2m_write(&g->p2m, gpa, &word, 8) : p2m_read(&g->p2m, gpa, &word, 8);
    check(got != P2M_TOUCH_HOLE, "gfn 0x%lx is a hole", gfn);
    waits += got == P2M_TOUCH_WAIT;
    if (got != P2M_TOUCH_OK) return;
    taken_back += g->p2m.swap.pages != held;
    if (writes)
        g->word[gfn] = word;
    else
        check(word == g->word[gfn], "gfn 0x%lx: 0x%lx, not 0x%lx", gfn, word, g->word[gfn]);
    if (g->ballooned[gfn] && !writes) check(word == 0, "gfn 0x%lx: ballooned, and not zero", gfn);
    g->ballooned[gfn] = false;
    unsigned level;
    uint64_t *slot = pt_find(g->p2m.format, g->p2m.root, gfn, &level);
    *slot |= g->p2m.format->accessed;
}

static void balloon(struct guest *g)
{
    FLUSH_BATCH(batch, &g->p2m);

    const gfn_t from = random_below(PAGES - 8);
    if (random_below(4) == 0) { /* or reports them free */
        (void)p2m_discard(&g->p2m, from, 8, &batch);
        for (gfn_t gfn = from; gfn < from + 8; gfn++) g->word[gfn] = g->pattern[gfn] = 0;
        flush_discharge(&batch);
        return;
    }
    for (gfn_t gfn = from; gfn < from + 8; gfn++) {
        (void)!p2m_balloon(&g->p2m, gfn, &batch);
        g->word[gfn] = g->pattern[gfn] = 0;
        g->ballooned[gfn] = true;
    }
    flush_discharge(&batch);
    for (gfn_t gfn = from; gfn < from + random_below(8); gfn++)
        g->ballooned[gfn] &= !p2m_unballoon(&g->p2m, gfn);
}

/* Pages in a store that say that they are being written, and are not. */
static void check_writers(struct p2m *p2m)
{
    uint64_t writing = 0;
    gfn_t gfns[PAGES];

    for (unsigned i = 0; i < SWAP_REQUESTS; i++) {
        const struct swap_request *r = &swap.request[i];
        for (uint32_t n = 0; r->busy && r->p2m == p2m && n < r->count; n++)
            writing += swap.slots[r->slot[n]].state == SLOT_EVICTED;
    }
    check(store_oldest(p2m, gfns, PAGES) + writing >= p2m->store.pages,
          "VM %u: pages in its store are for ever being written", p2m->owner);
}

static void compare(void)
{
    struct p2m *maps[VMS];
    struct tithe_ledger ledger;
    size_t n = 0;

    for (unsigned i = 0; i < VMS; i++) {
        if (!guests[i].alive) continue;
        check_writers(&guests[i].p2m);
        maps[n++] = &guests[i].p2m;
    }
    ledger_check(maps, n, &ledger);
    check(ledger.differences == 0, "ledger: %s", ledger.first);
}

static void end(struct guest *g)
{
    unwritten += g->p2m.swap.unwritten;
    shared += g->p2m.sharing.hits + g->p2m.sharing.hint_hits;
    poor += g->p2m.store.poor;
    full += g->p2m.store.full;
    expanded += g->p2m.store.hits;
    evicted += g->p2m.store.evicted;
    written += g->p2m.swap.outs;
    quiet = true;
    p2m_destroy(&g->p2m);
    quiet = false;
    memset(&g->p2m, 0xee, sizeof g->p2m); /* nobody may look there any more */
    g->alive = false;
}

static void one_step(void)
{
    struct guest *g = &guests[random_below(VMS)];
    uint32_t looked;

    if (poll_wanted) {
        poll_wanted = false;
        swap_poll();
    }
    if (g->alive && g->lost) {
        stopped++;
        end(g);
    }
    if (!g->alive) create(g);
    if (!g->alive) {
        finish_one();
        return;
    }
    stale.mfn = MFN_NONE;
    switch (random_below(24)) {
    case 0:
        remember(g);
        outs += swap_out(&g->p2m, 1 + (uint32_t)random_below(20), SWAP_RANDOM, &looked);
        break;
    case 1:
        remember(g);
        outs += swap_out(&g->p2m, 1 + (uint32_t)random_below(20), SWAP_COLD, &looked);
        break;
    case 2:
        ins += random_below(4) ? 0 : swap_prefetch(&g->p2m, 1 + (uint32_t)random_below(20), &looked);
        break;
    case 3:
        if (random_below(8) == 0) balloon(g);
        break;
    case 4:
        if (random_below(400) == 0) {
            quiet = true;
            p2m_reset(&g->p2m);
            quiet = false;
            memset(g->word, 0, sizeof g->word);
            memset(g->pattern, 0, sizeof g->pattern);
            memset(g->ballooned, 0, sizeof g->ballooned);
        }
        break;
    case 5:
        if (random_below(400) == 0) end(g);
        break;
    case 6:
        if (random_below(100) == 0) (void)p2m_pop_all(&g->p2m);
        break;
    case 7:
        if (random_below(200) == 0) compare();
        break;
    case 8: share_scan(&g->p2m, &g->scan, SHARE_SCAN_MAX); break;
    case 9:
        if (random_below(8) == 0)
            compress_set_limit(&g->p2m, random_below(3) * random_below(40),
                               (uint32_t)random_below(COMPRESS_PERCENT_MAX + 1));
        break;
    case 14:
        if (random_below(8) == 0) (void)swap_evict(&g->p2m);
        break;
    case 13:
    case 10:
    case 11: finish_one(); break;
    case 12:
        if (random_below(20) == 0) p2m_set_colours(&g->p2m, (uint32_t)random_below(1u << COLOURS), PAGES);
        remember(g);
        moved -= g->p2m.colouring.moved;
        (void)!p2m_recolour_step(&g->p2m);
        moved += g->p2m.colouring.moved;
        break;
    default: use(g); break;
    }
}

/* Pages that are on the disk, or were, ever. */
static uint64_t all_written(void)
{
    uint64_t sum = written;

    for (unsigned i = 0; i < VMS; i++) sum += guests[i].alive ? guests[i].p2m.swap.outs : 0;
    return sum;
}

/* `goes`: the step at which the disk is gone for good. */
static void run(uint64_t the_seed, uint64_t steps, bool fail, bool lie, uint64_t goes, bool has_disk)
{
    uint64_t outs_then = 0;

    seed = the_seed;
    random_begin();
    may_fail = fail;
    may_lie = lie;
    lost_allowed = fail || lie;
    gone = false;
    host_env_reset(FRAMES);
    frames_init(mfn_to_virt(0), FRAMES);
    frames_set_colour_count(COLOURS);
    const uint64_t table = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_add(0, table, FRAME_CORE);
    frames_add(table, FRAMES - table, FRAME_FREE);
    frames_set_reserve(8);
    if (fail) share_hash_bits(8); /* and different pages collide */
    if (has_disk) check(swap_init(0, FIRST, SLOTS), "no swap");
    for (step = 0; step < steps; step++) {
        if (step == goes) gone = lost_allowed = true;
        if (step == goes + 1000) outs_then = all_written(); /* what was under way has ended */
        one_step();
    }
    check(!gone || all_written() == outs_then, "pages go to a disk that is gone");
    while (pending_count || poll_wanted) {
        poll_wanted = false;
        swap_poll();
        finish_one();
    }
    compare();
    for (unsigned i = 0; i < VMS; i++) {
        check(!guests[i].alive || !guests[i].p2m.swap.reading, "VM %u still reads", i);
        if (guests[i].alive) end(&guests[i]);
    }
    compare();
    struct swap_counts c;
    swap_counts(&c);
    check(c.free + c.bad == (has_disk ? SLOTS : 0) && c.reserved == 0, "%lu free, %lu bad, %lu reserved",
          c.free, c.bad, c.reserved);
    check(lie || c.corrupt == 0, "%lu pages are not what was written", c.corrupt);
}

static void done(const char *what)
{
    static unsigned tests;

    printf("# %lu out, %lu ahead, %lu waits, %lu taken back, %lu moved, %lu stopped, %lu writes failed, %lu "
           "shared, %lu "
           "unwritten\n",
           outs, ins, waits, taken_back, moved, stopped, write_failures, shared, unwritten);
    printf("# %lu too long, %lu without room, %lu expanded, %lu evicted\n", poor, full, expanded, evicted);
    printf("ok %u - %s\n", ++tests, what);
    outs = ins = waits = taken_back = moved = stopped = write_failures = shared = unwritten = 0;
    poor = full = expanded = evicted = 0;
}

int main(int argc, char **argv)
{
    const uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 300000;

    printf("1..5\n");
    run(1, steps / 4, false, false, NEVER, false);
    check(outs && !ins && !waits && !evicted && poor && full && expanded && unwritten,
          "not everything was tried");
    done("guests' data in a store without a disk");
    run(1, steps, false, false, NEVER, true);
    check(outs && ins && waits && taken_back && moved && shared && unwritten, "not everything was tried");
    check(poor && full && expanded && evicted, "not everything of the store was tried");
    done("guests' data through a disk that works");
    for (uint64_t s = 1; s <= 4; s++) run(s, steps / 4, true, false, NEVER, true);
    check(stopped && write_failures, "no request failed");
    done("... that fails and refuses");
    for (uint64_t s = 1; s <= 4; s++) run(s, steps / 4, true, true, NEVER, true);
    check(stopped, "no VM was stopped");
    done("... that tears and loses writes");
    for (uint64_t s = 1; s <= 4; s++) run(s, steps / 16, false, false, steps / 32, true);
    check(stopped && write_failures, "nobody has noticed");
    done("... that is gone one day");
    host_env_end();
    return 0;
}
