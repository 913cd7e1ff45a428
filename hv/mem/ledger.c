/* SPDX-License-Identifier: MIT
 *
 * Every frame and every table entry is met once and marked; what is then unmarked, or met twice, or met by
 * somebody the frame table does not name, is a difference.
 */
#include "mem/ledger.h"

#include "lib/log.h"
#include "lib/string.h"
#include "mem/frame_table.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/share_table.h"
#include "mem/store.h"
#include "mem/origin.h"
#include "mem/swap.h"

struct ledger {
    struct tithe_ledger *out;
    uint64_t states[FRAME_STATES]; /* frames met in each state */
    uint64_t promised;             /* by all maps */
    /* Of the map at hand. */
    struct p2m *p2m;
    uint64_t tables, present, ballooned, swapped, compressed, ram, shared, pinned;
    uint64_t with_block; /* swapped pages that are kept on the guest's disk */
    uint64_t strays;     /* pages in frames of other colours than the VM's */
    uint64_t entries;    /* of all maps that map shared frames */
    uint64_t zero_entries;
    uint64_t hinted;  /* frames that say they are in the hash table */
    uint64_t chained; /* frames met there */
    uint64_t store;   /* frames of all stores */
};

__attribute__((format(printf, 2, 3))) static void differ(struct ledger *l, const char *fmt, ...)
{
    va_list args;

    if (l->out->differences++) return;
    va_start(args, fmt);
    fmt_vstring(l->out->first, sizeof(l->out->first), fmt, args);
    va_end(args);
}

static void expect(struct ledger *l, const char *what, uint64_t counted, uint64_t met)
{
    if (counted != met) differ(l, "%s: the counter says %lu, the walk met %lu", what, counted, met);
}

static void expect_of_map(struct ledger *l, const char *what, uint64_t counted, uint64_t met)
{
    if (counted != met) {
        differ(l, "VM slot %u, %s: the counter says %lu, the walk met %lu", l->p2m->owner, what, counted,
               met);
    }
}

static void mark(struct frame *f)
{
    f->state |= FRAME_MARKED;
}

static void count_frames(struct ledger *l)
{
    for (mfn_t mfn = 0; mfn < frame_pool.limit; mfn++) {
        struct frame *f = &frame_pool.table[mfn];
        if (frame_state_of(f) < FRAME_STATES)
            l->states[frame_state_of(f)]++;
        else
            differ(l, "frame 0x%lx: state %u is none", mfn, frame_state_of(f));
        if (f->state & ~FRAME_STATE && frame_state_of(f) != FRAME_GUEST &&
            frame_state_of(f) != FRAME_SHARED && f->state != (FRAME_PINNED | FRAME_BROKEN) &&
            f->state != (FRAME_FREE | FRAME_SORTED))
            differ(l, "frame 0x%lx: flags 0x%x in state %u", mfn, f->state & ~FRAME_STATE, frame_state_of(f));
        l->hinted += frame_state_of(f) == FRAME_GUEST && f->state & FRAME_HINTED;
    }
}

/* The list that begins at `head`, whose frames are in this state, flags included. Returns how long it is. */
static uint64_t check_list(struct ledger *l, const uint32_t *head, unsigned state)
{
    uint32_t before = FRAME_NO_LINK;
    uint64_t length = 0;

    for (uint32_t mfn = *head; mfn != FRAME_NO_LINK; mfn = frame_pool.table[mfn].next, length++) {
        if (mfn >= frame_pool.limit) {
            differ(l, "free list: frame 0x%x names 0x%x as next, which is beyond the last", before, mfn);
            return length;
        }
        struct frame *f = &frame_pool.table[mfn];
        if (f->state & FRAME_MARKED) {
            differ(l, "free list: comes back to frame 0x%x", mfn);
            return length;
        }
        if (f->state != state) {
            differ(l, "free list: frame 0x%x is not free but in state %u of VM slot %u", mfn, f->state,
                   f->owner);
            return length;
        }
        if (frame_list_of(mfn) != head) differ(l, "free list: frame 0x%x is of another colour", mfn);
        mark(f);
        if (f->prev != before) differ(l, "free list: frame 0x%x names 0x%x as the one before", mfn, f->prev);
        before = mfn;
    }
    return length;
}

static void check_free_lists(struct ledger *l)
{
    uint64_t sorted = 0;

    (void)check_list(l, &frame_pool.free_head, FRAME_FREE);
    for (uint32_t colour = 0; colour < FRAME_COLOURS_MAX; colour++)
        sorted += check_list(l, &frame_pool.colour_head[colour], FRAME_FREE | FRAME_SORTED);
    expect(l, "frames sorted by colour", frame_pool.sorted, sorted);
}

static void check_stocks(struct ledger *l)
{
    for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
        struct frame_stock *s = &frame_stocks[cpu];
        lock_acquire(&s->lock);
        if (s->count > FRAME_HANDFUL) differ(l, "CPU %u: %u frames in its stock", cpu, s->count);
        for (uint32_t i = 0; i < s->count && i < FRAME_HANDFUL; i++) {
            struct frame *f = s->mfn[i] < frame_pool.limit ? &frame_pool.table[s->mfn[i]] : NULL;
            if (!f || frame_state_of(f) != FRAME_STOCKED)
                differ(l, "CPU %u: frame 0x%x in its stock is not stocked", cpu, s->mfn[i]);
            else if (f->state & FRAME_MARKED)
                differ(l, "CPU %u: frame 0x%x is stocked twice", cpu, s->mfn[i]);
            if (f) mark(f);
        }
        lock_release(&s->lock);
    }
}

/* What an entry says, or the one it stands for. */
static uint64_t behind(const struct p2m *p2m, gfn_t gfn, uint64_t entry)
{
    const uint64_t sampled =
        p2m_entry_type(p2m->format, entry) == P2M_SAMPLED ? sample_behind(p2m, gfn, entry) : 0;

    return sampled ? sampled : entry;
}

/* Counts of shared frames are counted down as their entries are met, or, large ones, beside them; put_back puts that
 * right. All modulo COUNT_MAX + 1, so that a wrong count is the same again afterwards. */
static void count_down(mfn_t mfn, uint16_t by)
{
    struct frame *f = &frame_pool.table[mfn];

    f->count = (uint16_t)((f->count & COUNT_MORE) | ((f->count - by) & COUNT_MAX));
}

static void meet_shared(struct ledger *l, mfn_t mfn)
{
    struct large_count *large;

    l->shared++;
    l->zero_entries += (frame_pool.table[mfn].state & FRAME_ZERO) != 0;
    (void)share_count(mfn, &large);
    if (large)
        large->met++;
    else
        count_down(mfn, 1);
}

static void put_back(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    const struct p2m *p2m = ((struct ledger *)ctx)->p2m;
    const uint64_t entry = behind(p2m, page, *slot);

    if (level != 1 || p2m_entry_type(p2m->format, entry) != P2M_SHARED) return;
    const mfn_t mfn = p2m_entry_mfn(p2m->format, entry);
    if (frame_state(mfn) == FRAME_SHARED && !(frame_pool.table[mfn].count & COUNT_MORE))
        count_down(mfn, (uint16_t)-1);
}

static bool enter_again(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    const struct p2m *p2m = ((struct ledger *)ctx)->p2m;
    const mfn_t mfn = p2m_entry_mfn(p2m->format, *slot);

    (void)page, (void)level;
    return frame_state(mfn) == FRAME_TABLE && frame_owner(mfn) == p2m->owner;
}

static void check_shared(struct ledger *l)
{
    for (mfn_t mfn = 0; mfn < frame_pool.limit; mfn++) {
        struct large_count *large;
        if (frame_state(mfn) != FRAME_SHARED) continue;
        const uint64_t count = share_count(mfn, &large), met = large ? large->met : 0;
        if (count != met)
            differ(l, "shared frame 0x%lx: counted %ld entries more than map it", mfn,
                   (int64_t)(count - met));
        if (large) large->met = 0;
    }
}

static void check_chains(struct ledger *l)
{
    for (uint32_t i = 0; i <= share.bucket_mask; i++) {
        uint32_t at = share.bucket[i], length = 0;
        for (; !(at & CHAIN_END) && length <= CHAIN_MAX; length++) {
            if (at >= frame_pool.limit) {
                differ(l, "hash table, bucket 0x%x: frame 0x%x is beyond the last", i, at);
                return;
            }
            const struct frame *f = &frame_pool.table[at];
            if (frame_state_of(f) != FRAME_SHARED &&
                !(frame_state_of(f) == FRAME_GUEST && f->state & FRAME_HINTED))
                differ(l, "hash table, bucket 0x%x: frame 0x%x is neither shared nor a hint", i, at);
            at = f->link;
        }
        if (at != (CHAIN_END | i))
            differ(l, "hash table: the chain of bucket 0x%x does not end there, but at 0x%x", i, at);
        l->chained += length;
    }
}

/* Marks a frame that the map at hand uses as `state`; false when it should not be used. */
static bool meet(struct ledger *l, mfn_t mfn, enum frame_state state, gfn_t gfn)
{
    const unsigned vm = l->p2m->owner;
    const char *const what = state == FRAME_TABLE ? "table" : "page";

    if (mfn >= frame_pool.limit) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, which is beyond the last", vm, gfn, what, mfn);
        return false;
    }
    struct frame *f = &frame_pool.table[mfn];
    if (frame_state_of(f) != state) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, whose state is %u", vm, gfn, what, mfn,
               frame_state_of(f));
        return false;
    }
    if (state == FRAME_SHARED) {
        meet_shared(l, mfn);
        return true;
    }
    if (f->owner != vm) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, which VM slot %u owns", vm, gfn, what, mfn,
               f->owner);
        return false;
    }
    if (f->state & FRAME_MARKED) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, which is mapped twice", vm, gfn, what, mfn);
        return false;
    }
    if (state != FRAME_TABLE && f->gfn != gfn) {
        differ(l, "VM slot %u, gfn 0x%lx: page in frame 0x%lx, which belongs at gfn 0x%x", vm, gfn, mfn,
               f->gfn);
    }
    const uint32_t colours = frames_colours((uint16_t)vm);
    l->strays +=
        state != FRAME_TABLE && state != FRAME_STORE && colours && !(colours >> frame_colour(mfn) & 1);
    mark(f);
    return true;
}

static bool enter_table(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct ledger *l = ctx;

    (void)level;
    l->tables++;
    return meet(l, p2m_entry_mfn(l->p2m->format, *slot), FRAME_TABLE, page);
}

/* A page on its way holds a frame, too. */
static void check_swapped(struct ledger *l, uint64_t entry, gfn_t gfn)
{
    const char *why;
    const mfn_t mfn = swap_mark(l->p2m, gfn, entry, &why);

    l->swapped++;
    l->with_block += origin_is_away(l->p2m, gfn);
    if (why) differ(l, "VM slot %u, gfn 0x%lx: %s, 0x%x", l->p2m->owner, gfn, why, p2m_entry_slot(entry));
    if (mfn != MFN_NONE) l->present += meet(l, mfn, FRAME_GUEST, gfn);
}

static void check_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct ledger *l = ctx;
    const struct pt_format *f = l->p2m->format;
    const uint64_t entry = behind(l->p2m, page, *slot);
    const enum p2m_type type = p2m_entry_type(f, entry);

    const bool leads = level == 1 && (type == P2M_SWAPPED || type == P2M_COMPRESSED);
    const uint64_t absent = !leads ? pt_absent(f, type)
                            : type == P2M_SWAPPED
                                ? p2m_swapped(f, p2m_entry_slot(entry))
                                : p2m_compressed(f, p2m_store_mfn(entry), p2m_store_place(entry));
    const bool means = type == P2M_UNTOUCHED || type == P2M_BALLOONED || leads;
    if (!pt_present(f, entry) && (!means || entry != absent)) {
        differ(l, "VM slot %u, gfn 0x%lx: non-present entry 0x%lx has no meaning", l->p2m->owner, page,
               entry);
        return;
    }
    l->ram += pt_span(level);
    if (type == P2M_BALLOONED) l->ballooned += pt_span(level);
    if (type == P2M_SWAPPED) check_swapped(l, entry, page);
    if (type == P2M_COMPRESSED) {
        l->compressed++;
        if (!store_has(l->p2m, page, entry))
            differ(l, "VM slot %u, gfn 0x%lx: entry 0x%lx names nothing in the store", l->p2m->owner, page,
                   entry);
    }
    if (type != P2M_PRESENT && type != P2M_SHARED) return;
    l->present += pt_span(level);
    if (type == P2M_SHARED && entry & f->write)
        differ(l, "VM slot %u, gfn 0x%lx: shared, but writable", l->p2m->owner, page);
    if (level != 1)
        differ(l, "VM slot %u, gfn 0x%lx: leaf of level %u", l->p2m->owner, page, level);
    else
        (void)meet(l, p2m_entry_mfn(f, entry),
                   type == P2M_SHARED  ? FRAME_SHARED
                   : entry & PT_PINNED ? FRAME_PINNED
                                       : FRAME_GUEST,
                   page);
    l->pinned += (entry & PT_PINNED) != 0;
}

static void visit_map(struct ledger *l, const struct pt_visitor *visitor)
{
    /* All that the tables can say, not only what is below the limit. */
    pt_visit(l->p2m->format, l->p2m->root, 0, pt_span(l->p2m->format->levels + 1), visitor, l);
}

/* An entry names only its own page's piece, and there are as many of both: so each piece has its entry. */
static void check_store(struct ledger *l)
{
    const struct p2m_store *s = &l->p2m->store;
    uint64_t frames = 0, pieces = 0, bytes = 0;

    for (mfn_t mfn = store_next(l->p2m, MFN_NONE); mfn != MFN_NONE; mfn = store_next(l->p2m, mfn)) {
        if (++frames > s->frames || !meet(l, mfn, FRAME_STORE, 0)) break;
        const char *why = store_check(l->p2m, mfn, &pieces, &bytes);
        if (why) differ(l, "VM slot %u: frame 0x%lx of its store %s", l->p2m->owner, mfn, why);
    }
    expect_of_map(l, "frames of the store", s->frames, frames);
    expect_of_map(l, "compressed pages", s->pages, l->compressed);
    expect_of_map(l, "pieces in the store", s->pages, pieces);
    expect_of_map(l, "bytes in the store", s->bytes, bytes);
    l->out->compressed_entries += l->compressed;
    l->store += frames;
}

static void check_map(struct ledger *l, struct p2m *p2m)
{
    static const struct pt_visitor visitor = {.enter = enter_table, .entry = check_entry};

    l->p2m = p2m;
    l->tables = l->present = l->ballooned = l->swapped = l->compressed = 0;
    l->ram = l->shared = l->pinned = l->strays = l->with_block = 0;
    lock_acquire(&p2m->lock);
    if (p2m->table_pages) {
        l->tables = 1;
        if (meet(l, p2m->root >> PAGE_SHIFT, FRAME_TABLE, 0)) visit_map(l, &visitor);
    }
    expect_of_map(l, "table pages", p2m->table_pages, l->tables);
    expect_of_map(l, "present pages", p2m->present_pages, l->present);
    expect_of_map(l, "ballooned pages", p2m->ballooned_pages, l->ballooned);
    expect_of_map(l, "swapped pages", p2m->swap.pages, l->swapped);
    expect_of_map(l, "pages with their blocks", origin_away(p2m), l->with_block);
    l->out->swapped_entries += l->swapped;
    check_store(l);
    expect_of_map(l, "RAM pages", p2m->size_pages, l->ram);
    expect_of_map(l, "shared pages", p2m->sharing.pages, l->shared);
    expect_of_map(l, "pinned pages", p2m->pinned_pages, l->pinned);
    if (frames_colours(p2m->owner) && l->strays > p2m_strays(p2m))
        differ(l, "VM slot %u: %lu pages in frames of other colours, and it knows of %lu at most", p2m->owner,
               l->strays, p2m_strays(p2m));
    l->entries += l->shared;
    l->promised += p2m->promised;
    l->out->ballooned_entries += l->ballooned;
    lock_release(&p2m->lock);
}

/* Frames nobody was met to use. A parked one is only there while a batch is open, and none is now. */
static void check_orphans(struct ledger *l)
{
    for (mfn_t mfn = 0; mfn < frame_pool.limit; mfn++) {
        struct frame *f = &frame_pool.table[mfn];
        const unsigned state = frame_state_of(f);
        const bool marked = f->state & FRAME_MARKED;

        f->state &= (uint8_t)~FRAME_MARKED;
        if (state == FRAME_PARKED) {
            differ(l, "frame 0x%lx of VM slot %u is parked and no flush is under way", mfn, f->owner);
        } else if (state == FRAME_FREE && !marked) {
            differ(l, "frame 0x%lx is free but not in the free list", mfn);
        } else if (state == FRAME_STOCKED && !marked) {
            differ(l, "frame 0x%lx is stocked but in no CPU's stock", mfn);
        } else if (state == FRAME_TABLE && !marked) {
            differ(l, "frame 0x%lx is a table of VM slot %u but not in its map", mfn, f->owner);
        } else if (state == FRAME_STORE && !marked) {
            differ(l, "frame 0x%lx is of the store of VM slot %u but not in it", mfn, f->owner);
        } else if ((state == FRAME_GUEST || state == FRAME_PINNED) && !marked) {
            differ(l, "frame 0x%lx is a page of VM slot %u, gfn 0x%x, but not in its map", mfn, f->owner,
                   f->gfn);
        }
    }
}

static void check_counters(struct ledger *l)
{
    expect(l, "free frames", frame_pool.count[FRAME_FREE], l->states[FRAME_FREE]);
    expect(l, "all frames", frame_pool.total, l->out->total_pages);
    expect(l, "core frames", frame_pool.count[FRAME_CORE], l->states[FRAME_CORE]);
    expect(l, "table frames", frame_pool.count[FRAME_TABLE], l->states[FRAME_TABLE]);
    expect(l, "parked frames", frame_pool.count[FRAME_PARKED], l->states[FRAME_PARKED]);
    expect(l, "shared frames", frame_pool.count[FRAME_SHARED], l->states[FRAME_SHARED]);
    expect(l, "frames of stores", frame_pool.count[FRAME_STORE], l->store);
    expect(l, "entries of shared frames", share.entries, l->entries);
    expect(l, "entries of zero frames", share.zero_entries, l->zero_entries);
    expect(l, "frames in the hash table", l->states[FRAME_SHARED] + l->hinted, l->chained);
    expect(l, "promised frames", frame_pool.promised, l->promised);
    if (frame_pool.promised > l->states[FRAME_FREE]) {
        differ(l, "%lu frames are promised, %lu are free", frame_pool.promised, l->states[FRAME_FREE]);
    }
    if (l->states[FRAME_STOCKED] && !frames_spare(0)) {
        differ(l, "%lu frames are in stocks, and the pool does not hold what is promised and reserved",
               l->states[FRAME_STOCKED]);
    }
}

void ledger_check(struct p2m *const *maps, size_t map_count, struct tithe_ledger *out)
{
    struct ledger l = {.out = out};

    memset(out, 0, sizeof(*out));
    lock_acquire(&frame_pool.lock);
    count_frames(&l);
    check_free_lists(&l);
    lock_release(&frame_pool.lock);

    check_stocks(&l);
    out->free_pages = l.states[FRAME_FREE] + l.states[FRAME_STOCKED];
    out->core_pages = l.states[FRAME_CORE];
    out->table_pages = l.states[FRAME_TABLE];
    out->guest_pages =
        l.states[FRAME_GUEST] + l.states[FRAME_PINNED] + l.states[FRAME_SHARED] + l.states[FRAME_STORE];
    out->total_pages =
        out->free_pages + out->core_pages + out->table_pages + out->guest_pages + l.states[FRAME_PARKED];

    for (size_t i = 0; i < map_count; i++) check_map(&l, maps[i]);
    check_shared(&l);
    for (size_t i = 0; i < map_count; i++) {
        l.p2m = maps[i];
        if (l.p2m->table_pages) visit_map(&l, &(struct pt_visitor){.enter = enter_again, .entry = put_back});
    }
    check_chains(&l);
    uint64_t slot;
    const char *why = swap_check(&slot);
    if (why) differ(&l, "swap slot 0x%lx %s", slot, why);

    lock_acquire(&frame_pool.lock);
    check_orphans(&l);
    check_counters(&l);
    lock_release(&frame_pool.lock);
}
