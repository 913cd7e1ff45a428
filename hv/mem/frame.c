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
#include "mem/share_table.h"

struct frame_pool frame_pool = {.lock = LOCK_INIT(LOCK_FRAMES), .free_head = FRAME_NO_LINK};

/* Frames that are freed under one hold of the lock: others' first touches wait for it. */
#define PIECE 256u

static const char *const state_names[FRAME_STATES] = {"absent", "free",    "core",   "table",  "guest",
                                                      "parked", "stocked", "shared", "pinned", "store"};

size_t frames_bytes(mfn_t limit)
{
    return limit * sizeof(struct frame) + share_table_bytes(limit);
}

void frames_init(void *table, mfn_t limit)
{
    if (limit > FRAMES_MAX) panic("frame table: %lu frames are more than 8 TiB of RAM", limit);
    memset(table, 0, frames_bytes(limit));
    frame_pool = (struct frame_pool){.lock = LOCK_INIT(LOCK_FRAMES),
                                     .table = table,
                                     .limit = limit,
                                     .free_head = FRAME_NO_LINK,
                                     .colours = 1};
    for (uint32_t i = 0; i < FRAME_COLOURS_MAX; i++) frame_pool.colour_head[i] = FRAME_NO_LINK;
    for (uint32_t i = 0; i < CPUS_MAX; i++)
        frame_stocks[i] = (struct frame_stock){.lock = LOCK_INIT(LOCK_FRAME_CACHE)};
    share_table_init(frame_pool.table + limit, limit);
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
          frame_state_of(f) < FRAME_STATES ? state_names[frame_state_of(f)] : "corrupt", f->owner);
}

/* Takes the pool's lock. Unless there are `count` frames to spare in the pool, whatever is free is in it. */
static void pool_lock(uint64_t count)
{
    lock_acquire(&frame_pool.lock);
    if (!frames_spare(count)) frames_gather();
}

static inline void hand_out(struct frame *f, enum frame_state state, uint16_t owner, gfn_t gfn)
{
    frame_set_state(f, state);
    f->owner = (uint8_t)owner;
    f->gfn = (uint32_t)gfn;
}

void frame_list_take(mfn_t mfn, enum frame_state state, uint16_t owner, gfn_t gfn)
{
    struct frame *f = &frame_pool.table[mfn];

    if (frame_state_of(f) != FRAME_FREE) frame_wrong_state("allocate", mfn);
    if (f->next != FRAME_NO_LINK) frame_pool.table[f->next].prev = f->prev;
    if (f->prev != FRAME_NO_LINK)
        frame_pool.table[f->prev].next = f->next;
    else
        *frame_list_of(mfn) = f->next;
    frame_pool.sorted -= (f->state & FRAME_SORTED) != 0;
    hand_out(f, state, owner, gfn);
    frame_pool.count[FRAME_FREE]--;
    frame_pool.count[state]++;
    struct frame_wanted *w = &frame_pool.wanted[owner];
    if (state == FRAME_GUEST && w->mask) {
        if (w->mask >> frame_colour(mfn) & 1)
            w->coloured.given++;
        else
            w->coloured.off++;
    }
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
            frame_list_push(mfn);
        else
            frame_set_state(&frame_pool.table[mfn], FRAME_CORE);
    }
    frame_pool.count[state] += count;
    frame_pool.total += count;
    lock_release(&frame_pool.lock);
}

static __attribute__((noinline)) mfn_t pool_alloc(enum frame_state state, uint16_t owner, gfn_t gfn)
{
    if (state == FRAME_COLOURED) return frame_take_coloured(owner, gfn, false);
    if (state != FRAME_CORE && state != FRAME_TABLE && state != FRAME_GUEST) {
        panic("frames are allocated as core, table or guest, not as %d", (int)state);
    }
    pool_lock(1);
    frames_unsort(1);
    const uint64_t kept = frame_pool.promised + (state == FRAME_CORE ? 0 : frame_pool.reserve);
    const mfn_t mfn = frame_pool.count[FRAME_FREE] > kept ? frame_pool.free_head : MFN_NONE;
    if (mfn != MFN_NONE) frame_list_take(mfn, state, owner, gfn);
    lock_release(&frame_pool.lock);
    return mfn;
}

/* From this CPU's stock, or MFN_NONE. */
static inline mfn_t stock_alloc(uint16_t owner, gfn_t gfn)
{
    struct frame_stock *s = &frame_stocks[cpu_index()];
    mfn_t mfn = MFN_NONE;

    lock_acquire(&s->lock);
    uint32_t count = s->count;
    if (!count) count = frame_stock_fill(s);
    if (count) {
        mfn = s->mfn[--count];
        frame_stock_set(s, count);
    }
    lock_release(&s->lock);
    if (mfn == MFN_NONE) return mfn;
    struct frame *f = &frame_pool.table[mfn];
    if (f->state != FRAME_STOCKED) frame_wrong_state("allocate", mfn);
    hand_out(f, FRAME_GUEST, owner, gfn);
    return mfn;
}

mfn_t frame_alloc(enum frame_state state, uint16_t owner, gfn_t gfn)
{
#ifdef TITHE_DEBUG
    if (state == FRAME_GUEST && frames_colours(owner))
        panic("VM slot %u has colours, and a page of it has none", owner);
#endif
    mfn_t mfn = state == FRAME_GUEST ? stock_alloc(owner, gfn) : MFN_NONE;

    if (mfn == MFN_NONE) mfn = pool_alloc(state, owner, gfn);
    if (mfn != MFN_NONE) page_zero(mfn_to_virt(mfn));
    return mfn;
}

mfn_t frame_alloc_copy(mfn_t from, uint16_t owner, gfn_t gfn)
{
    const bool coloured = frames_colours(owner) != 0;
    mfn_t mfn = coloured ? MFN_NONE : stock_alloc(owner, gfn);

    if (mfn == MFN_NONE) mfn = pool_alloc(coloured ? FRAME_COLOURED : FRAME_GUEST, owner, gfn);
    if (mfn != MFN_NONE && from != MFN_NONE) page_copy(mfn_to_virt(mfn), mfn_to_virt(from));
    return mfn;
}

/* The highest aligned run of free frames below `end`; MFN_NONE without one. Takes no lock, for it may look at every frame
 * there is: what it finds may be gone already. */
static mfn_t find_run(mfn_t end, uint64_t count, uint64_t align_frames)
{
    while (end >= count) {
        const mfn_t start = (end - count) - (end - count) % align_frames;
        mfn_t mfn = start + count;
        while (mfn > start && frame_state(mfn - 1) == FRAME_FREE) mfn--;
        if (mfn == start) return start;
        end = mfn - 1;
    }
    return MFN_NONE;
}

mfn_t frame_alloc_within(enum frame_state state, uint16_t owner, gfn_t gfn, mfn_t from, mfn_t to)
{
    /* Where the last search from the bottom of memory, or from elsewhere, ended: hints. Who moves pages does both in turn. */
    static mfn_t cursors[2];
    mfn_t *const cursor = &cursors[from != 0];
    mfn_t at = __atomic_load_n(cursor, __ATOMIC_RELAXED);
    bool taken = false, enough = true;

    if (to > frame_pool.limit) to = frame_pool.limit;
    if (from >= to) return MFN_NONE;
    uint64_t looks = state == FRAME_GUEST && to - from > FRAME_LOOKS ? FRAME_LOOKS : to - from;
    for (; looks && enough && !taken; looks--) {
        if (at <= from || at > to) at = to;
        if (frame_state(--at) != FRAME_FREE) continue;
        pool_lock(1);
        const uint64_t kept = frame_pool.promised + (state == FRAME_CORE ? 0 : frame_pool.reserve);
        enough = frame_pool.count[FRAME_FREE] > kept;
        taken = enough && frame_state(at) == FRAME_FREE;
        if (taken) frame_list_take(at, state, owner, gfn);
        lock_release(&frame_pool.lock);
    }
    __atomic_store_n(cursor, at, __ATOMIC_RELAXED);
    if (taken && state == FRAME_CORE) page_zero(mfn_to_virt(at));
    return taken ? at : MFN_NONE;
}

/* Whether the core may have `count` frames. Takes the pool's lock. */
static bool lock_for_core(uint64_t count)
{
    pool_lock(count);
    return frame_pool.count[FRAME_FREE] - frame_pool.promised >= count;
}

static bool take_run(mfn_t start, uint64_t count)
{
    bool ok = lock_for_core(count);

    for (uint64_t i = 0; ok && i < count; i++) ok = frame_state(start + i) == FRAME_FREE;
    for (uint64_t i = 0; ok && i < count; i++) frame_list_take(start + i, FRAME_CORE, FRAME_OWNER_CORE, 0);
    lock_release(&frame_pool.lock);
    return ok;
}

mfn_t frame_alloc_run(uint64_t count, uint64_t align_frames)
{
    if (!count || !align_frames) panic("a run of %lu frames aligned to %lu", count, align_frames);
    for (unsigned pass = 0; pass < 2; pass++) {
        const bool enough = lock_for_core(count);
        /* Stocked frames may have been in the way. */
        if (enough && pass == 1) frames_gather();
        lock_release(&frame_pool.lock);
        if (!enough) break;
        mfn_t start = frame_pool.limit + 1 - count;
        while ((start = find_run(start + count - 1, count, align_frames)) != MFN_NONE) {
            if (!take_run(start, count)) continue;
            for (uint64_t i = 0; i < count; i++) page_zero(mfn_to_virt(start + i));
            return start;
        }
    }
    return MFN_NONE;
}

void frame_free_run(mfn_t mfn, uint64_t count)
{
    while (count) {
        lock_acquire(&frame_pool.lock);
        for (unsigned i = 0; i < PIECE && count; i++, mfn++, count--) {
            struct frame *f = frame_at(mfn);
            /* A guest's frame goes by frame_park: a TLB may still know it. */
            if (f->state != FRAME_CORE && f->state != FRAME_TABLE && f->state != FRAME_STORE)
                frame_wrong_state("free", mfn);
            __atomic_fetch_sub(&frame_pool.count[f->state], 1, __ATOMIC_RELAXED);
            frame_pool.count[FRAME_FREE]++;
            frame_list_push(mfn);
        }
        lock_release(&frame_pool.lock);
    }
}

void frame_keep(mfn_t mfn)
{
    struct frame *f = frame_at(mfn);

    if (frame_state_of(f) != FRAME_PINNED) frame_wrong_state("keep", mfn);
    lock_acquire(&frame_pool.lock);
    frame_set_state(f, FRAME_CORE);
    f->owner = FRAME_OWNER_CORE;
    frame_pool.count[FRAME_CORE]++;
    lock_release(&frame_pool.lock);
}

void frame_to_store(mfn_t mfn, uint16_t owner)
{
    struct frame *f = frame_at(mfn);

    if (f->state != FRAME_GUEST || f->owner != owner) frame_unflag(mfn, owner);
    frame_set_state(f, FRAME_STORE);
    f->gfn = 0;
    __atomic_fetch_add(&frame_pool.count[FRAME_STORE], 1, __ATOMIC_RELAXED);
}

void frame_free(mfn_t mfn)
{
    frame_free_run(mfn, 1);
}

bool frames_promise(uint64_t count)
{
    pool_lock(count);
    const bool ok = frames_spare(count);
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
    frames_unsort(1);
    const mfn_t mfn = frame_pool.free_head;
    if (mfn == FRAME_NO_LINK) panic("%lu frames are promised and none is free", frame_pool.promised);
    frame_pool.promised--;
    frame_list_take(mfn, FRAME_TABLE, owner, 0);
    lock_release(&frame_pool.lock);
    return mfn;
}

void frames_unpark(mfn_t *list)
{
    uint32_t mfn = (uint32_t)*list;

    while (mfn != FRAME_NO_LINK) {
        uint64_t count = 0;
        lock_acquire(&frame_pool.lock);
        for (; mfn != FRAME_NO_LINK && count < PIECE; count++) {
            const struct frame *f = frame_at(mfn);
            const uint32_t next = f->next;
            if (f->state != FRAME_PARKED) frame_wrong_state("unpark", mfn);
            frame_list_push(mfn);
            mfn = next;
        }
        __atomic_fetch_sub(&frame_pool.count[FRAME_PARKED], count, __ATOMIC_RELAXED);
        frame_pool.count[FRAME_FREE] += count;
        lock_release(&frame_pool.lock);
    }
    *list = MFN_NONE;
}

enum frame_state frame_state(mfn_t mfn)
{
    if (mfn >= frame_pool.limit) return FRAME_ABSENT;
    return (enum frame_state)(__atomic_load_n(&frame_pool.table[mfn].state, __ATOMIC_RELAXED) & FRAME_STATE);
}

uint16_t frame_owner(mfn_t mfn)
{
    return frame_at(mfn)->owner;
}

gfn_t frame_gfn(mfn_t mfn)
{
    const struct frame *f = frame_at(mfn);

    return frame_state_of(f) == FRAME_GUEST || frame_state_of(f) == FRAME_PINNED ? f->gfn : 0;
}

void frames_counts(struct frame_counts *out)
{
    lock_acquire(&frame_pool.lock);
    const uint64_t *count = frame_pool.count;
    /* Parked ones first: none becomes free under the lock, so no frame is counted twice and guests' are what remains. Nor is a
     * stock filled, so what others take meanwhile is all that free frames may be behind by. */
    const uint64_t parked = __atomic_load_n(&count[FRAME_PARKED], __ATOMIC_ACQUIRE);
    const uint64_t shared = __atomic_load_n(&count[FRAME_SHARED], __ATOMIC_RELAXED);
    uint64_t free = count[FRAME_FREE];
    for (uint32_t i = 0; i < frame_pool.stocks; i++) free += frame_stock_count(&frame_stocks[i]);
    *out = (struct frame_counts){
        .total = frame_pool.total,
        .free = free,
        .promised = frame_pool.promised,
        .core = count[FRAME_CORE],
        .table = count[FRAME_TABLE],
        .guest = frame_pool.total - free - count[FRAME_CORE] - count[FRAME_TABLE] - parked,
        .shared = shared,
        .store = __atomic_load_n(&count[FRAME_STORE], __ATOMIC_RELAXED),
        .parked = parked,
        .reserve = frame_pool.reserve,
    };
    lock_release(&frame_pool.lock);
}

void frames_set_reserve(uint64_t reserve_pages)
{
    const uint64_t reserve = frame_pool.reserve; /* changed here alone, by the boot CPU */

    pool_lock(reserve_pages > reserve ? reserve_pages - reserve : 0);
    frame_pool.reserve = reserve_pages;
    lock_release(&frame_pool.lock);
}

uint64_t frames_contended(void)
{
    return lock_contended(&frame_pool.lock);
}

uint64_t frame_stock_contended(uint32_t cpu)
{
    return lock_contended(&frame_stocks[cpu].lock);
}

mfn_t frames_limit(void)
{
    return frame_pool.limit;
}
