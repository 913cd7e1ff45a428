/* SPDX-License-Identifier: MIT
 *
 * The frame allocator. Every misuse that can be seen panics, in every build: a frame freed twice today is
 * another VM's data tomorrow.
 */
#include "mem/frame.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame_table.h"
#include "mem/page.h"

struct frame_pool frame_pool = {.lock = LOCK_INIT(LOCK_FRAMES), .free_head = FRAME_NO_LINK};

static const char *const state_names[FRAME_STATES] = {"absent", "free", "core", "table", "guest", "parked"};

size_t frames_bytes(mfn_t limit)
{
    return limit * sizeof(struct frame);
}

void frames_init(void *table, mfn_t limit)
{
    if (limit >= FRAME_NO_LINK) panic("frame table: %lu frames are more than 16 TiB of RAM", limit);
    memset(table, 0, frames_bytes(limit));
    frame_pool = (struct frame_pool){
        .lock = LOCK_INIT(LOCK_FRAMES), .table = table, .limit = limit, .free_head = FRAME_NO_LINK};
}

static struct frame *frame_at(mfn_t mfn)
{
    if (mfn >= frame_pool.limit) panic("frame 0x%lx is beyond the last, 0x%lx", mfn, frame_pool.limit);
    return &frame_pool.table[mfn];
}

void frame_wrong_state(const char *act, mfn_t mfn)
{
    const struct frame *f = frame_at(mfn);

    panic("cannot %s frame 0x%lx: it is %s, owner %u", act, mfn,
          f->state < FRAME_STATES ? state_names[f->state] : "corrupt", f->owner);
}

static inline void set_free(struct frame *f)
{
    f->state = FRAME_FREE;
    f->marked = 0;
    f->owner = FRAME_OWNER_CORE;
}

/* Puts a frame at the head of the free list; the caller keeps count. */
static inline void list_push(mfn_t mfn)
{
    struct frame *f = &frame_pool.table[mfn];

    set_free(f);
    f->next = frame_pool.free_head;
    f->prev = FRAME_NO_LINK;
    if (f->next != FRAME_NO_LINK) frame_pool.table[f->next].prev = (uint32_t)mfn;
    frame_pool.free_head = (uint32_t)mfn;
}

/* Takes a free frame, wherever it is in the list, for its new use. */
static void list_take(mfn_t mfn, enum frame_state state, uint16_t owner, gfn_t gfn)
{
    struct frame *f = &frame_pool.table[mfn];

    if (f->state != FRAME_FREE) frame_wrong_state("allocate", mfn);
    if (f->next != FRAME_NO_LINK) frame_pool.table[f->next].prev = f->prev;
    if (f->prev != FRAME_NO_LINK)
        frame_pool.table[f->prev].next = f->next;
    else
        frame_pool.free_head = f->next;
    f->state = (uint8_t)state;
    f->owner = owner;
    f->gfn = gfn;
    frame_pool.count[FRAME_FREE]--;
    frame_pool.count[state]++;
}

void frames_add(mfn_t start, uint64_t count, enum frame_state state)
{
    if (state != FRAME_FREE && state != FRAME_CORE)
        panic("frames are added as free or core, not as %d", (int)state);
    if (!count) return;
    if (start + count < start) panic("frames 0x%lx + 0x%lx wrap", start, count);
    (void)frame_at(start + count - 1);
    lock_acquire(&frame_pool.lock);
    /* Last first, so that low frames are handed out first and runs are found at the top. */
    for (mfn_t mfn = start + count; mfn-- > start;) {
        if (frame_pool.table[mfn].state != FRAME_ABSENT) frame_wrong_state("add", mfn);
        if (state == FRAME_FREE)
            list_push(mfn);
        else
            frame_pool.table[mfn].state = FRAME_CORE;
    }
    frame_pool.count[state] += count;
    lock_release(&frame_pool.lock);
}

mfn_t frame_alloc(enum frame_state state, uint16_t owner, gfn_t gfn)
{
    if (state != FRAME_CORE && state != FRAME_TABLE && state != FRAME_GUEST) {
        panic("frames are allocated as core, table or guest, not as %d", (int)state);
    }
    lock_acquire(&frame_pool.lock);
    const uint64_t kept = frame_pool.promised + (state == FRAME_CORE ? 0 : frame_pool.reserve);
    const mfn_t mfn = frame_pool.count[FRAME_FREE] > kept ? frame_pool.free_head : MFN_NONE;
    if (mfn != MFN_NONE) list_take(mfn, state, owner, gfn);
    lock_release(&frame_pool.lock);
    if (mfn != MFN_NONE) page_zero(mfn_to_virt(mfn));
    return mfn;
}

/* The highest aligned run of free frames; MFN_NONE without one. */
static mfn_t find_run(uint64_t count, uint64_t align_frames)
{
    mfn_t end = frame_pool.limit; /* the run is below it */

    while (end >= count) {
        const mfn_t start = (end - count) - (end - count) % align_frames;
        mfn_t mfn = start + count;
        while (mfn > start && frame_pool.table[mfn - 1].state == FRAME_FREE) mfn--;
        if (mfn == start) return start;
        end = mfn - 1;
    }
    return MFN_NONE;
}

mfn_t frame_alloc_run(uint64_t count, uint64_t align_frames)
{
    mfn_t start = MFN_NONE;

    if (!count || !align_frames) panic("a run of %lu frames aligned to %lu", count, align_frames);
    lock_acquire(&frame_pool.lock);
    if (frame_pool.count[FRAME_FREE] - frame_pool.promised >= count) start = find_run(count, align_frames);
    for (uint64_t i = 0; start != MFN_NONE && i < count; i++)
        list_take(start + i, FRAME_CORE, FRAME_OWNER_CORE, 0);
    lock_release(&frame_pool.lock);
    for (uint64_t i = 0; start != MFN_NONE && i < count; i++) page_zero(mfn_to_virt(start + i));
    return start;
}

void frame_free_run(mfn_t mfn, uint64_t count)
{
    lock_acquire(&frame_pool.lock);
    for (; count; mfn++, count--) {
        struct frame *f = frame_at(mfn);
        /* A guest's frame goes by frame_park: a TLB may still know it. */
        if (f->state != FRAME_CORE && f->state != FRAME_TABLE) frame_wrong_state("free", mfn);
        frame_pool.count[f->state]--;
        frame_pool.count[FRAME_FREE]++;
        list_push(mfn);
    }
    lock_release(&frame_pool.lock);
}

void frame_free(mfn_t mfn)
{
    frame_free_run(mfn, 1);
}

bool frames_promise(uint64_t count)
{
    lock_acquire(&frame_pool.lock);
    const uint64_t kept = frame_pool.promised + frame_pool.reserve;
    const bool ok = frame_pool.count[FRAME_FREE] >= kept && frame_pool.count[FRAME_FREE] - kept >= count;
    if (ok) frame_pool.promised += count;
    lock_release(&frame_pool.lock);
    return ok;
}

void frames_unpromise(uint64_t count)
{
    lock_acquire(&frame_pool.lock);
    if (count > frame_pool.promised)
        panic("%lu promised frames given back of %lu", count, frame_pool.promised);
    frame_pool.promised -= count;
    lock_release(&frame_pool.lock);
}

mfn_t frame_alloc_promised(uint16_t owner)
{
    lock_acquire(&frame_pool.lock);
    if (!frame_pool.promised) panic("a table page for owner %u that was never promised", owner);
    const mfn_t mfn = frame_pool.free_head;
    if (mfn == FRAME_NO_LINK) panic("%lu frames are promised and none is free", frame_pool.promised);
    frame_pool.promised--;
    list_take(mfn, FRAME_TABLE, owner, 0);
    lock_release(&frame_pool.lock);
    return mfn;
}

void frames_parked(uint64_t count)
{
    lock_acquire(&frame_pool.lock);
    frame_pool.count[FRAME_GUEST] -= count;
    frame_pool.count[FRAME_PARKED] += count;
    lock_release(&frame_pool.lock);
}

void frames_unpark(mfn_t *list)
{
    const uint32_t first = (uint32_t)*list;
    uint32_t last = FRAME_NO_LINK;
    uint64_t count = 0;

    if (first == FRAME_NO_LINK) return;
    lock_acquire(&frame_pool.lock);
    /* The list is linked already: it goes whole in front of the free list. */
    for (uint32_t mfn = first; mfn != FRAME_NO_LINK; mfn = frame_pool.table[mfn].next, count++) {
        struct frame *f = frame_at(mfn);
        if (f->state != FRAME_PARKED) frame_wrong_state("unpark", mfn);
        set_free(f);
        f->prev = last;
        last = mfn;
    }
    frame_pool.table[last].next = frame_pool.free_head;
    if (frame_pool.free_head != FRAME_NO_LINK) frame_pool.table[frame_pool.free_head].prev = last;
    frame_pool.free_head = first;
    frame_pool.count[FRAME_PARKED] -= count;
    frame_pool.count[FRAME_FREE] += count;
    lock_release(&frame_pool.lock);
    *list = MFN_NONE;
}

enum frame_state frame_state(mfn_t mfn)
{
    return mfn < frame_pool.limit ? (enum frame_state)frame_pool.table[mfn].state : FRAME_ABSENT;
}

uint16_t frame_owner(mfn_t mfn)
{
    return frame_at(mfn)->owner;
}

gfn_t frame_gfn(mfn_t mfn)
{
    const struct frame *f = frame_at(mfn);

    return f->state == FRAME_GUEST ? f->gfn : 0;
}

void frames_counts(struct frame_counts *out)
{
    lock_acquire(&frame_pool.lock);
    const uint64_t *count = frame_pool.count;
    *out = (struct frame_counts){
        .free = count[FRAME_FREE],
        .promised = frame_pool.promised,
        .core = count[FRAME_CORE],
        .table = count[FRAME_TABLE],
        .guest = count[FRAME_GUEST],
        .parked = count[FRAME_PARKED],
        .reserve = frame_pool.reserve,
    };
    out->total = out->free + out->core + out->table + out->guest + out->parked;
    lock_release(&frame_pool.lock);
}

void frames_set_reserve(uint64_t reserve_pages)
{
    lock_acquire(&frame_pool.lock);
    frame_pool.reserve = reserve_pages;
    lock_release(&frame_pool.lock);
}

mfn_t frames_limit(void)
{
    return frame_pool.limit;
}
