/* SPDX-License-Identifier: MIT
 *
 * Everything that the core says about memory, against the model and against itself. Nothing is under way but requests of disks.
 */
#include "verbs.h"

#include "mem/compress.h"
#include "mem/ledger.h"
#include "mem/origin.h"
#include "mem/store.h"

#include <string.h>

static uint64_t entries[FRAMES]; /* that map each frame */
static uint64_t shared, saved;

static void compare_present(struct guest *g, unsigned i, uint64_t entry)
{
    const struct pt_format *f = g->vm.p2m.format;
    const mfn_t mfn = p2m_entry_mfn(f, entry);
    const bool is_shared = entry & PT_SHARED;

    check_page(g, i, mfn_to_virt(mfn), "says its entry");
    check(++entries[mfn] == 1 || frame_state(mfn) == FRAME_SHARED, "frame 0x%lx is mapped twice", mfn);
    check(is_shared == (frame_state(mfn) == FRAME_SHARED), "frame 0x%lx shared or not", mfn);
    check(!is_shared || !(entry & f->write), "frame 0x%lx is writable", mfn);
    check(!(entry & PT_PINNED) == !g->page[i].pinned, "VM %u, gfn 0x%lx: pinned or not", g->vm.slot,
          gfn_of(g, i));
    check(!is_shared || !g->one_group || frame_owner(mfn) == share_key(&g->vm.p2m),
          "VM %u, gfn 0x%lx is shared across groups", g->vm.slot, gfn_of(g, i));
    shared += is_shared;
}

static void compare_away(struct guest *g, unsigned i, uint64_t entry)
{
    struct p2m *p2m = &g->vm.p2m;
    const bool stored = p2m_entry_type(p2m->format, entry) == P2M_COMPRESSED;
    uint64_t words[WORDS];
    const void *page = words;

    if (stored && !compress_in_transit(p2m, entry)) {
        lock_acquire(&p2m->lock);
        compress_expand(p2m, gfn_of(g, i), entry, words);
        lock_release(&p2m->lock);
    } else if (stored) {
        check(false, "VM %u, gfn 0x%lx is in transit for ever", g->vm.slot, gfn_of(g, i));
    } else {
        const uint32_t slot = p2m_entry_slot(entry);
        const struct swap_slot *s = &swap.slots[slot];
        uint64_t sector = FIRST_SLOT + (uint64_t)slot * PAGE_SECTORS;
        uint32_t disk;
        if (s->origin) origin_place(p2m, gfn_of(g, i), &disk, &sector);
        if (s->state != SLOT_OUT && !s->origin && (faults.lie || faults.lied)) return;
        page = s->state == SLOT_OUT ? mfn_to_virt(swap_frame(p2m, entry)) : disk_at(sector);
    }
    check_page(g, i, page, "is in the store, in swap or with its block");
}

static void compare_page(struct guest *g, unsigned i)
{
    static const uint64_t zeros[WORDS];
    const struct page *p = &g->page[i];
    const uint64_t entry = entry_behind(g, i);
    const enum p2m_type type = p2m_entry_type(g->vm.p2m.format, entry);

    check((type == P2M_BALLOONED) == p->ballooned, "VM %u, gfn 0x%lx: ballooned or not", g->vm.slot,
          gfn_of(g, i));
    switch (type) {
    case P2M_UNTOUCHED:
    case P2M_BALLOONED:
        check(memcmp(p->word, zeros, PAGE_BYTES) == 0, "VM %u, gfn 0x%lx: what was written there is gone",
              g->vm.slot, gfn_of(g, i));
        break;
    case P2M_PRESENT:
    case P2M_SHARED: compare_present(g, i, entry); return;
    case P2M_SWAPPED:
    case P2M_COMPRESSED: compare_away(g, i, entry); break;
    default: check(false, "VM %u, gfn 0x%lx: an entry of type %d", g->vm.slot, gfn_of(g, i), (int)type);
    }
    check(!p->pinned, "VM %u, gfn 0x%lx is pinned, and not there", g->vm.slot, gfn_of(g, i));
}

/* Pages in a store that say that they are being written, and are not. */
static void compare_writers(struct guest *g)
{
    struct p2m *p2m = &g->vm.p2m;
    uint64_t writing = 0;
    gfn_t gfns[PAGES];

    for (unsigned i = 0; i < SWAP_REQUESTS; i++) {
        const struct swap_request *r = &swap.request[i];
        for (uint32_t n = 0; r->busy && r->p2m == p2m && n < r->count; n++)
            writing += swap.slots[r->slot[n]].state == SLOT_EVICTED;
    }
    check(store_oldest(p2m, gfns, PAGES) + writing >= p2m->store.pages,
          "VM %u: pages in its store are for ever being written", g->vm.slot);
}

static void compare_counts(uint64_t swapped, uint64_t reserved)
{
    struct share_counts counts;
    struct swap_counts s;
    struct frame_counts f;
    uint64_t frames = 0;

    for (mfn_t mfn = 0; mfn < FRAMES; mfn++) {
        struct large_count *large;
        if (frame_state(mfn) != FRAME_SHARED) continue;
        frames++;
        check(share_count(mfn, &large) == entries[mfn], "frame 0x%lx is counted %lu times, not %lu", mfn,
              share_count(mfn, &large), entries[mfn]);
    }
    share_counts(&counts);
    check(counts.entries == shared && counts.frames == frames,
          "%lu entries share %lu frames, not %lu and %lu", counts.entries, counts.frames, shared, frames);
    saved = shared - frames;
    if (saved > happened.most_shared) happened.most_shared = saved;
    swap_counts(&s);
    check(s.reserved == reserved, "%lu slots are reserved, not %lu", s.reserved, reserved);
    check(io_pending() || swap.refused || s.slots - s.free - s.bad == swapped,
          "%lu slots are in use, not %lu", s.slots - s.free - s.bad, swapped);
    check(!s.corrupt || faults.lie || faults.lied, "%lu pages are not what was written", s.corrupt);
    frames_counts(&f);
    check(f.parked == 0 && f.total == FRAMES && f.free + f.core + f.table + f.guest == f.total,
          "%lu free, %lu core, %lu table, %lu guest, %lu parked, %lu in all", f.free, f.core, f.table,
          f.guest, f.parked, f.total);
}

void compare(void)
{
    struct p2m *maps[VMS];
    struct tithe_ledger ledger;
    uint64_t swapped = 0, reserved = 0;
    size_t n = 0;

    memset(entries, 0, sizeof entries);
    shared = 0;
    for (struct guest *g = guests; g < guests + VMS; g++) {
        if (!has_map(g)) continue;
        check_tlbs(g);
        check(g->vm.p2m.ballooned_pages == g->ballooned, "ballooned pages");
        for (unsigned i = 0; i < g->pages; i++) compare_page(g, i);
        compare_writers(g);
        maps[n++] = &g->vm.p2m;
        swapped += g->vm.p2m.swap.pages;
        reserved += g->vm.p2m.swap.reserved;
    }
    compare_counts(swapped, reserved);
    for (unsigned twice = 0; twice < 2; twice++) {
        ledger_check(maps, n, &ledger);
        check(ledger.differences == 0, "ledger: %s", ledger.first);
    }
}
