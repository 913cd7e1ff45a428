/* SPDX-License-Identifier: MIT
 *
 * A scan takes a page from its VM in four steps, with one map's lock at a time and none while CPUs flush:
 *
 *   look     hashes pages as they are. Another of this hash in the table makes a candidate of the page, which is
 *            write-protected; else it leaves a hint, and nothing else happens to it.
 *   believe  a hinted page is hashed again in its own map. If it still is what it was, it is write-protected, too.
 *   flush    each map of which a page was protected, once.
 *   share    hinted pages that nobody has written to since become shared frames, with a count of 1; then candidates that
 *            nobody has written to since are compared, and give up their own frames if they are equal.
 *
 * Who writes in between gets the write right back at once (mem/p2m.c), and the scan finds the protection gone. What a candidate
 * leads to cannot go away: a shared frame is counted once for it, and the map behind a hint is held.
 */
#include "lib/log.h"
#include "mem/p2m_tables.h"
#include "mem/page.h"
#include "mem/permute.h"
#include "mem/share_table.h"

/* Entries looked at for each page that is wanted, at most. */
#define LOOKS_PER_PAGE 16u

/* What candidates may become. */
struct target {
    enum { FOUND, HINTED, SHARED, GONE } is; /* FOUND, SHARED: counted once for us */
    mfn_t mfn;
    /* HINTED: */
    struct p2m *map;
    gfn_t gfn;
    uint64_t hash;
    uint32_t stamp;
    bool zero;
};

struct candidate {
    gfn_t gfn;
    uint32_t stamp;
    struct target *target;
};

struct round {
    struct p2m *p2m;
    uint8_t key;
    uint32_t targets, candidates;
    struct target target[SHARE_SCAN_MAX];
    struct candidate candidate[SHARE_SCAN_MAX];
};

/* Needs no hash of the page itself; and groups do not meet in one chain. */
static uint64_t hash_of(const void *page, uint8_t key, bool *zero)
{
    *zero = page_is_zero(page);
    return (*zero ? key * 0x9e3779b97f4a7c15 : page_hash(page, key)) & share.hash_mask;
}

/* ---- look ---- */

static bool comes_now(const struct share_scan *scan, const struct frame *f)
{
    switch (scan->order) {
    case SHARE_UNSHARED_LAST: return scan->second == ((f->state & FRAME_BROKEN) != 0);
    case SHARE_HINTED_FIRST: return scan->second == !(f->state & FRAME_HINTED);
    default: return true;
    }
}

/* With LOCK_SHARE. NULL: there is nothing to share with, or no room to note it. */
static struct target *find_target(struct round *r, mfn_t self, uint64_t hash, bool zero)
{
    struct frame *f = &frame_pool.table[self];
    bool met, room;
    const mfn_t mfn = share_find(hash, r->key, zero, self, &met, &room);

    if (f->state & FRAME_HINTED && (!met || mfn != MFN_NONE)) {
        share_unhint(self);
        share.counts.stale_hints += !met;
    }
    if (mfn == MFN_NONE) {
        if (room && !(f->state & FRAME_HINTED)) {
            share_hint(self, hash);
            r->p2m->sharing.hints++;
        }
        share.counts.refused += !room;
        return NULL;
    }
    for (struct target *t = r->target; t < r->target + r->targets; t++) {
        if (t->mfn == mfn) return t;
    }
    struct target *t = &r->target[r->targets];
    const struct frame *there = &frame_pool.table[mfn];
    *t = (struct target){.mfn = mfn, .hash = hash, .zero = zero};
    if (frame_state_of(there) == FRAME_SHARED) {
        if (!share_get(mfn)) return NULL;
        t->is = FOUND;
    } else {
        t->is = HINTED;
        t->gfn = there->gfn;
        t->map = share.map[there->owner];
        __atomic_fetch_add(&share.held[there->owner], 1, __ATOMIC_RELAXED);
    }
    r->targets++;
    return t;
}

/* Whether the page was one to look at. *last: no entry up to there need be looked at any more. */
static bool look(struct round *r, struct share_scan *scan, gfn_t gfn, gfn_t *last)
{
    struct p2m *p2m = r->p2m;
    unsigned level;
    bool zero;
    uint64_t *slot = p2m_find(p2m, gfn, &level);

    if (!slot) return false;
    *last = gfn | (pt_span(level) - 1);
    const uint64_t entry = pt_load(slot);
    if (p2m_entry_type(p2m->format, entry) != P2M_PRESENT || entry & PT_PINNED) return false;
    const mfn_t mfn = p2m_entry_mfn(p2m->format, entry);
    struct frame *f = &frame_pool.table[mfn];
    if (f->state & FRAME_COPIED || !comes_now(scan, f)) return false;
    /* Protected by another scan, which then leaves it alone; or left so by one that did not find it again. */
    if (!(entry & p2m->format->write)) p2m_unprotect(p2m, slot);
    const uint64_t hash = hash_of(mfn_to_virt(mfn), r->key, &zero);
    p2m->sharing.scanned++;
    p2m->sharing.zeros += zero;
    lock_acquire(&share.lock);
    frame_set_state(f, f->state & ~FRAME_BROKEN);
    struct target *t = find_target(r, mfn, hash, zero);
    lock_release(&share.lock);
    if (t) {
        r->candidate[r->candidates++] =
            (struct candidate){.gfn = gfn, .stamp = p2m_protect(p2m, slot), .target = t};
    }
    return true;
}

static void end_round(struct share_scan *scan)
{
    const bool two = scan->order == SHARE_UNSHARED_LAST || scan->order == SHARE_HINTED_FIRST;

    scan->cursor = 0;
    scan->second = two && !scan->second;
    if (!scan->second) scan->passes++;
}

/* Moves the scan by at least one entry. */
static bool step(struct round *r, struct share_scan *scan)
{
    const gfn_t limit = r->p2m->limit;
    const bool in_sequence = scan->order == SHARE_SEQUENTIAL;

    if (scan->cursor >= limit) {
        end_round(scan);
        return false;
    }
    const gfn_t gfn =
        in_sequence ? scan->cursor : permute(scan->cursor, limit, scan->passes << 8 | r->p2m->owner);
    gfn_t last = gfn;
    const bool looked = look(r, scan, gfn, &last);
    scan->cursor = in_sequence ? last + 1 : scan->cursor + 1;
    return looked;
}

/* ---- believe ---- */

/* The entry of a target's page, with its map's lock; NULL when it leads elsewhere by now. */
static uint64_t *find_page(const struct target *t)
{
    const struct pt_format *f = t->map->format;
    unsigned level;
    uint64_t *slot = p2m_find(t->map, t->gfn, &level);
    const uint64_t entry = slot ? pt_load(slot) : 0;

    return p2m_entry_type(f, entry) == P2M_PRESENT && p2m_entry_mfn(f, entry) == t->mfn ? slot : NULL;
}

static void believe(struct round *r, struct target *t)
{
    bool zero;

    lock_acquire(&t->map->lock);
    uint64_t *slot = find_page(t);
    if (slot && frame_pool.table[t->mfn].state & FRAME_HINTED) {
        const bool same = hash_of(mfn_to_virt(t->mfn), r->key, &zero) == t->hash && zero == t->zero;
        lock_acquire(&share.lock);
        share_unhint(t->mfn);
        share.counts.stale_hints += !same;
        lock_release(&share.lock);
        if (same)
            t->stamp = p2m_protect(t->map, slot);
        else
            t->is = GONE;
    } else {
        t->is = GONE;
    }
    lock_release(&t->map->lock);
}

/* ---- flush ---- */

static void flush(struct p2m *p2m)
{
    FLUSH_BATCH(batch, p2m);
    batch.owed = true;
    flush_discharge(&batch);
}

static void flush_all(struct round *r)
{
    flush(r->p2m);
    for (uint32_t i = 0; i < r->targets; i++) {
        struct p2m *const map = r->target[i].map;
        bool done = r->target[i].is != HINTED || map == r->p2m;
        for (uint32_t j = 0; j < i && !done; j++) done = r->target[j].is == HINTED && r->target[j].map == map;
        if (!done) flush(map);
    }
}

/* ---- share ---- */

/* Between its hash and the flush somebody may have written to the page through a TLB. Its hash may be wrong, that costs time only, but who is
 * said to be all zeros is believed from now on. */
static void share_target(struct round *r, struct target *t)
{
    lock_acquire(&t->map->lock);
    uint64_t *slot = find_page(t);
    const bool still = slot && p2m_is_protected(t->map, pt_load(slot), t->stamp);
    t->is = GONE;
    if (still && (share_key(t->map) != r->key || (t->zero && !page_is_zero(mfn_to_virt(t->mfn))))) {
        p2m_unprotect(t->map, slot);
    } else if (still) {
        lock_acquire(&share.lock);
        share_make(t->mfn, t->hash, r->key, t->zero);
        if (share_get(t->mfn)) t->is = SHARED;
        lock_release(&share.lock);
        __atomic_fetch_or(slot, PT_SHARED, __ATOMIC_ACQ_REL);
        p2m_count_shared(t->map, t->mfn, 1);
    }
    lock_release(&t->map->lock);
}

/* With LOCK_SHARE: the candidate's page, `mfn`, is the same as its target, and is counted there. */
static bool joins(const struct target *t, mfn_t mfn)
{
    const void *page = mfn_to_virt(mfn);
    bool same = t->zero ? page_is_zero(page) : page_equal(page, mfn_to_virt(t->mfn));

    lock_acquire(&share.lock);
    share.counts.compares_failed += !same;
    same = same && share_get(t->mfn);
    lock_release(&share.lock);
    return same;
}

static void share_candidate(struct round *r, const struct candidate *c, struct flush_batch *batch)
{
    struct p2m *p2m = r->p2m;
    const struct target *t = c->target;
    unsigned level;

    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, c->gfn, &level);
    const uint64_t entry = slot ? pt_load(slot) : 0;
    if (p2m_is_protected(p2m, entry, c->stamp)) {
        if (t->is != GONE && share_key(p2m) == r->key && joins(t, p2m_entry_mfn(p2m->format, entry))) {
            pt_store(slot, pt_leaf(p2m->format, t->mfn << PAGE_SHIFT, 1, PT_READ | PT_EXEC) | PT_SHARED);
            p2m_park(p2m, entry, batch);
            (void)p2m_parked(batch);
            p2m_count_shared(p2m, t->mfn, 1);
            p2m->sharing.hits += t->is == FOUND;
            p2m->sharing.hint_hits += t->is == SHARED;
        } else {
            p2m_unprotect(p2m, slot);
        }
    }
    lock_release(&p2m->lock);
}

static void share_round(struct round *r)
{
    struct target *const end = r->target + r->targets;
    FLUSH_BATCH(batch, r->p2m);

    for (struct target *t = r->target; t < end; t++) {
        if (t->is == HINTED) believe(r, t);
    }
    flush_all(r);
    for (struct target *t = r->target; t < end; t++) {
        if (t->is == HINTED) share_target(r, t);
        if (t->map) p2m_release(t->map);
    }
    for (uint32_t i = 0; i < r->candidates; i++) share_candidate(r, &r->candidate[i], &batch);
    lock_acquire(&share.lock);
    for (struct target *t = r->target; t < end; t++) {
        if (t->is != GONE) share_put(t->mfn, &batch.parked);
    }
    lock_release(&share.lock);
    flush_discharge(&batch);
}

uint32_t share_scan(struct p2m *p2m, struct share_scan *scan, uint32_t pages)
{
    struct round r;
    uint32_t looked = 0;

    if (scan->order >= SHARE_ORDERS) panic("scan order %u", scan->order);
    if (pages > SHARE_SCAN_MAX) pages = SHARE_SCAN_MAX;
    r.p2m = p2m;
    r.targets = r.candidates = 0;
    lock_acquire(&p2m->lock);
    r.key = share_key(p2m);
    const uint64_t passes = scan->passes;
    for (uint32_t i = 0; i < pages * LOOKS_PER_PAGE && looked < pages && scan->passes == passes; i++) {
        looked += step(&r, scan);
        /* Guests wait for this lock. */
        lock_release(&p2m->lock);
        lock_acquire(&p2m->lock);
    }
    lock_release(&p2m->lock);
    if (r.candidates) share_round(&r);
    return looked;
}

/* ---- a page on its way out ---- */

mfn_t share_join(struct p2m *p2m, mfn_t mfn, mfn_t *parked)
{
    bool zero, met, room;

    if (!__atomic_load_n(&frame_pool.count[FRAME_SHARED], __ATOMIC_RELAXED)) return MFN_NONE;
    const uint8_t key = share_key(p2m);
    const uint64_t hash = hash_of(mfn_to_virt(mfn), key, &zero);
    lock_acquire(&share.lock);
    const mfn_t found = share_find(hash, key, zero, mfn, &met, &room);
    const bool counted = found != MFN_NONE && frame_state(found) == FRAME_SHARED && share_get(found);
    lock_release(&share.lock);
    if (!counted) return MFN_NONE;
    if (zero || page_equal(mfn_to_virt(mfn), mfn_to_virt(found))) {
        p2m_count_shared(p2m, found, 1);
        return found;
    }
    lock_acquire(&share.lock);
    share.counts.compares_failed++;
    share_put(found, parked);
    lock_release(&share.lock);
    return MFN_NONE;
}
