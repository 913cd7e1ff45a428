/* SPDX-License-Identifier: MIT
 *
 * Colours of a map's frames. A page is moved as its sharing is broken: protected and flushed for, so that nobody writes to it, then
 * copied, its entry read-only till all have forgotten the old frame (mem/p2m.c says why).
 */
#include "mem/compress.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/swap.h"

/* In one step: copying a page takes as long as looking at a hundred. */
#define STEP_PAGES   32u
#define STEP_ENTRIES 512u

struct moving {
    gfn_t gfn;
    uint32_t stamp; /* of its entry, while that is read-only for us */
};

static bool strays(uint32_t mask, mfn_t mfn)
{
    return mask && !(mask >> frame_colour(mfn) & 1);
}

uint64_t p2m_strays(const struct p2m *p2m)
{
    return p2m->colouring.stray + frames_coloured(p2m->owner).off - p2m->colouring.off;
}

void p2m_set_colours(struct p2m *p2m, uint32_t mask, uint64_t recolour)
{
    struct p2m_colouring *c = &p2m->colouring;

    if (mask == UINT32_MAX >> (FRAME_COLOURS_MAX - frames_colour_count())) mask = 0;
    lock_acquire(&p2m->lock);
    if (mask != frames_colours(p2m->owner)) {
        frames_set_colours(p2m->owner, mask);
        p2m->page = mask ? FRAME_COLOURED : FRAME_GUEST;
        c->stray = mask ? p2m->present_pages - p2m->sharing.pages : 0;
        c->off = frames_coloured(p2m->owner).off;
    }
    c->left = mask ? recolour : 0;
    c->from = 0;
    c->passed = 0;
    c->began = frames_coloured(p2m->owner).off;
    c->pass++;
    lock_release(&p2m->lock);
}

void p2m_recolour_stop(struct p2m *p2m)
{
    lock_acquire(&p2m->lock);
    p2m->colouring.left = 0;
    lock_release(&p2m->lock);
}

/* The frame that is the page's own, wherever; MFN_NONE without one. */
static mfn_t own_frame(struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    const struct pt_format *f = p2m->format;

    if (p2m_entry_type(f, entry) == P2M_SWAPPED) return swap_frame(p2m, entry);
    if (compress_in_transit(p2m, entry)) return p2m_store_mfn(entry);
    if (p2m_entry_type(f, entry) == P2M_SAMPLED) entry = sample_behind(p2m, gfn, entry);
    return p2m_entry_type(f, entry) == P2M_PRESENT ? p2m_entry_mfn(f, entry) : MFN_NONE;
}

/* With the lock held. Chooses pages that are to be moved, and protects them. */
static unsigned choose(struct p2m *p2m, struct moving moving[STEP_PAGES])
{
    const struct pt_format *f = p2m->format;
    struct p2m_colouring *c = &p2m->colouring;
    const uint32_t mask = frames_colours(p2m->owner);
    unsigned n = 0, level;

    for (unsigned i = 0; i < STEP_ENTRIES && n < STEP_PAGES && n < c->left && c->from < p2m->limit; i++) {
        const gfn_t gfn = c->from;
        uint64_t *slot = p2m_find(p2m, gfn, &level);
        const uint64_t entry = pt_load(slot);
        const mfn_t mfn = own_frame(p2m, gfn, entry);
        c->from = (gfn | (pt_span(level) - 1)) + 1;
        if (mfn == MFN_NONE || !strays(mask, mfn)) continue;
        if (p2m_entry_type(f, entry) != P2M_PRESENT || entry & PT_PINNED ||
            frame_pool.table[mfn].state & FRAME_COPIED) {
            c->passed++;
            continue;
        }
        frame_unflag(mfn, p2m->owner); /* the stamp goes where its chain in the hash table was */
        moving[n++] = (struct moving){gfn, p2m_protect(p2m, slot)};
    }
    return n;
}

/* Gives the page another frame, unless somebody has written to it since. */
static enum moved {
    MOVED,
    STAYS,
    NO_FRAME
} move(struct p2m *p2m, struct moving *m, struct flush_batch *batch)
{
    const struct pt_format *f = p2m->format;
    struct p2m_colouring *c = &p2m->colouring;
    unsigned level;
    mfn_t mfn = MFN_NONE;

    lock_acquire(&p2m->lock);
    uint64_t *slot = p2m_find(p2m, m->gfn, &level);
    const uint64_t entry = pt_load(slot);
    const bool still = p2m_is_protected(p2m, entry, m->stamp);
    if (still && c->left && strays(frames_colours(p2m->owner), p2m_entry_mfn(f, entry)))
        mfn = frame_alloc_recoloured(p2m_entry_mfn(f, entry), p2m->owner, m->gfn);
    const enum moved moved = mfn != MFN_NONE ? MOVED : still ? NO_FRAME : STAYS;
    if (moved == MOVED) {
        m->stamp = p2m_map_copy(p2m, slot, mfn, 0, entry & f->accessed);
        p2m_park(p2m, entry, batch);
        (void)p2m_parked(batch);
        c->left--;
        c->moved++;
        c->stray--;
    } else {
        if (still) p2m_unprotect(p2m, slot);
        c->passed++;
    }
    lock_release(&p2m->lock);
    return moved;
}

/* With the lock held, when the pass has come to the end or can go no further. */
static void end_pass(struct p2m *p2m)
{
    struct p2m_colouring *c = &p2m->colouring;

    if (c->left && c->from >= p2m->limit) {
        c->stray = c->passed;
        c->off = c->began;
    }
    c->left = 0;
}

bool p2m_recolour_step(struct p2m *p2m)
{
    struct moving moving[STEP_PAGES];
    unsigned moved = 0;
    bool frames = true;
    FLUSH_BATCH(batch, p2m);

    lock_acquire(&p2m->lock);
    const unsigned n = choose(p2m, moving);
    batch.owed = n != 0;
    lock_release(&p2m->lock);
    flush_discharge(&batch);
    for (unsigned i = 0; i < n; i++) {
        const enum moved m = move(p2m, &moving[i], &batch);
        if (m == MOVED) moving[moved++] = moving[i];
        if (m == NO_FRAME) frames = false;
    }
    flush_discharge(&batch);
    for (unsigned i = 0; i < moved; i++) p2m_end_copy_of(p2m, moving[i].gfn, moving[i].stamp);
    lock_acquire(&p2m->lock);
    if (!frames || p2m->colouring.from >= p2m->limit) end_pass(p2m);
    const bool more = p2m->colouring.left != 0;
    lock_release(&p2m->lock);
    return more;
}
