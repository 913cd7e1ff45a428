/* SPDX-License-Identifier: MIT */
#include "mem/compress.h"

#include "lib/log.h"
#include "mem/frame.h"
#include "mem/p2m_tables.h"
#include "mem/page_codec.h"
#include "mem/store.h"
#include "x86/cpu.h"

void compress_set_limit(struct p2m *p2m, uint64_t frames, uint32_t percent)
{
    lock_acquire(&p2m->lock);
    p2m->store.limit = frames;
    p2m->store.most = PAGE_BYTES * percent / 100;
    lock_release(&p2m->lock);
}

void compress_close(struct p2m *p2m, bool closed)
{
    lock_acquire(&p2m->lock);
    p2m->store.closed = closed;
    lock_release(&p2m->lock);
}

_Static_assert(PAGE_BYTES *COMPRESS_PERCENT_MAX / 100 <= STORE_PIECE_MAX, "what is kept fits");

bool compress_in_transit(const struct p2m *p2m, uint64_t entry)
{
    return p2m_entry_type(p2m->format, entry) == P2M_COMPRESSED && p2m_store_place(entry) == P2M_IN_TRANSIT;
}

void compress_unmap(struct p2m *p2m, uint64_t *entry)
{
    const mfn_t mfn = p2m_entry_mfn(p2m->format, pt_load(entry));

    pt_store(entry, p2m_compressed(p2m->format, mfn, P2M_IN_TRANSIT));
}

mfn_t compress_map_again(struct p2m *p2m, uint64_t *entry)
{
    const mfn_t mfn = p2m_store_mfn(pt_load(entry));

    /* Its flush may be under way: CPUs may still write to it without setting the dirty bit (mem/origin.h). */
    pt_store(entry, pt_leaf(p2m->format, mfn << PAGE_SHIFT, 1, PT_RWX) | p2m->format->dirty);
    return mfn;
}

bool compress_keep(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *parked)
{
    static uint8_t piece[STORE_PIECE_MAX];
    struct p2m_store *s = &p2m->store;
    mfn_t mfn = p2m_store_mfn(pt_load(entry));

    if (!compress_is_on(p2m)) return false;
    const uint64_t start = rdtsc();
    const uint32_t bytes = page_compress(mfn_to_virt(mfn), piece, s->most);
    s->ticks_in += rdtsc() - start;
    s->tried++;
    uint64_t to;
    if (!bytes || !store_put(p2m, gfn, piece, bytes, &mfn, &to)) {
        (*(bytes ? &s->full : &s->poor))++;
        return false;
    }
    pt_store(entry, to);
    p2m->present_pages--;
    if (mfn == MFN_NONE) return true;
    frame_park(mfn, p2m->owner, parked);
    frames_parked(1);
    return true;
}

void compress_expand(struct p2m *p2m, gfn_t gfn, uint64_t entry, void *page)
{
    uint32_t bytes;
    const void *piece = store_get(p2m, gfn, entry, &bytes);
    const uint64_t start = rdtsc();

    if (!page_expand(piece, bytes, page))
        panic("VM slot %u, gfn 0x%lx: what is in the store is no page", p2m->owner, gfn);
    p2m->store.ticks_out += rdtsc() - start;
}

enum p2m_touch compress_touch(struct p2m *p2m, gfn_t gfn, uint64_t *entry, mfn_t *mfn)
{
    const uint64_t old = pt_load(entry);

    if (compress_in_transit(p2m, old)) {
        *mfn = compress_map_again(p2m, entry);
        return P2M_TOUCH_OK;
    }
    *mfn = frame_alloc_copy(MFN_NONE, p2m->owner, gfn);
    if (*mfn == MFN_NONE) return P2M_TOUCH_NO_MEMORY;
    compress_expand(p2m, gfn, old, mfn_to_virt(*mfn));
    pt_store(entry, pt_leaf(p2m->format, *mfn << PAGE_SHIFT, 1, PT_RWX));
    store_drop(p2m, gfn, old);
    p2m->present_pages++;
    p2m->store.hits++;
    return P2M_TOUCH_OK;
}

void compress_drop(struct p2m *p2m, gfn_t gfn, uint64_t old, struct flush_batch *batch)
{
    if (!compress_in_transit(p2m, old)) {
        store_drop(p2m, gfn, old);
        return;
    }
    frame_park(p2m_store_mfn(old), p2m->owner, &batch->parked);
    batch->count++;
}
