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

struct ledger {
    struct tithe_ledger *out;
    uint64_t states[FRAME_STATES]; /* frames met in each state */
    uint64_t promised;             /* by all maps */
    /* Of the map at hand. */
    struct p2m *p2m;
    uint64_t tables, present, ballooned, ram;
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

static void count_frames(struct ledger *l)
{
    for (mfn_t mfn = 0; mfn < frame_pool.limit; mfn++) {
        struct frame *f = &frame_pool.table[mfn];
        f->marked = 0;
        if (f->state < FRAME_STATES)
            l->states[f->state]++;
        else
            differ(l, "frame 0x%lx: state %u is none", mfn, f->state);
    }
}

static void check_free_list(struct ledger *l)
{
    uint32_t before = FRAME_NO_LINK;

    for (uint32_t mfn = frame_pool.free_head; mfn != FRAME_NO_LINK; mfn = frame_pool.table[mfn].next) {
        if (mfn >= frame_pool.limit) {
            differ(l, "free list: frame 0x%x names 0x%x as next, which is beyond the last", before, mfn);
            return;
        }
        struct frame *f = &frame_pool.table[mfn];
        if (f->marked) {
            differ(l, "free list: comes back to frame 0x%x", mfn);
            return;
        }
        f->marked = 1;
        if (f->state != FRAME_FREE) {
            differ(l, "free list: frame 0x%x is not free but in state %u of VM slot %u", mfn, f->state,
                   f->owner);
            return;
        }
        if (f->prev != before) differ(l, "free list: frame 0x%x names 0x%x as the one before", mfn, f->prev);
        before = mfn;
    }
}

static void check_stocks(struct ledger *l)
{
    for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
        struct frame_stock *s = &frame_stocks[cpu];
        lock_acquire(&s->lock);
        if (s->count > FRAME_HANDFUL) differ(l, "CPU %u: %u frames in its stock", cpu, s->count);
        for (uint32_t i = 0; i < s->count && i < FRAME_HANDFUL; i++) {
            struct frame *f = s->mfn[i] < frame_pool.limit ? &frame_pool.table[s->mfn[i]] : NULL;
            if (!f || f->state != FRAME_STOCKED)
                differ(l, "CPU %u: frame 0x%x in its stock is not stocked", cpu, s->mfn[i]);
            else if (f->marked)
                differ(l, "CPU %u: frame 0x%x is stocked twice", cpu, s->mfn[i]);
            if (f) f->marked = 1;
        }
        lock_release(&s->lock);
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
    if (f->state != state) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, whose state is %u", vm, gfn, what, mfn,
               f->state);
        return false;
    }
    if (f->owner != vm) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, which VM slot %u owns", vm, gfn, what, mfn,
               f->owner);
        return false;
    }
    if (f->marked) {
        differ(l, "VM slot %u, gfn 0x%lx: %s in frame 0x%lx, which is mapped twice", vm, gfn, what, mfn);
        return false;
    }
    if (state == FRAME_GUEST && f->gfn != gfn) {
        differ(l, "VM slot %u, gfn 0x%lx: page in frame 0x%lx, which belongs at gfn 0x%lx", vm, gfn, mfn,
               f->gfn);
    }
    f->marked = 1;
    return true;
}

static bool enter_table(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct ledger *l = ctx;

    (void)level;
    l->tables++;
    return meet(l, p2m_entry_mfn(l->p2m->format, *slot), FRAME_TABLE, page);
}

static void check_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct ledger *l = ctx;
    const struct pt_format *f = l->p2m->format;
    uint64_t entry = *slot;
    enum p2m_type type = p2m_entry_type(f, entry);

    if (type == P2M_SAMPLED) {
        const uint64_t behind = sample_behind(l->p2m, page, entry);
        if (behind) entry = behind;
        type = p2m_entry_type(f, entry);
    }
    if (!pt_present(f, entry) && (type == P2M_HOLE || type >= P2M_PRESENT || entry != pt_absent(f, type))) {
        differ(l, "VM slot %u, gfn 0x%lx: non-present entry 0x%lx has no meaning", l->p2m->owner, page,
               entry);
        return;
    }
    l->ram += pt_span(level);
    if (type == P2M_BALLOONED) l->ballooned += pt_span(level);
    if (type != P2M_PRESENT) return;
    l->present += pt_span(level);
    if (level != 1)
        differ(l, "VM slot %u, gfn 0x%lx: leaf of level %u", l->p2m->owner, page, level);
    else
        (void)meet(l, p2m_entry_mfn(f, entry), FRAME_GUEST, page);
}

static void check_map(struct ledger *l, struct p2m *p2m)
{
    static const struct pt_visitor visitor = {.enter = enter_table, .entry = check_entry};

    l->p2m = p2m;
    l->tables = l->present = l->ballooned = l->ram = 0;
    lock_acquire(&p2m->lock);
    if (p2m->table_pages) {
        l->tables = 1;
        if (meet(l, p2m->root >> PAGE_SHIFT, FRAME_TABLE, 0)) {
            /* All that the tables can say, not only what is below the limit. */
            pt_visit(p2m->format, p2m->root, 0, pt_span(p2m->format->levels + 1), &visitor, l);
        }
    }
    expect_of_map(l, "table pages", p2m->table_pages, l->tables);
    expect_of_map(l, "present pages", p2m->present_pages, l->present);
    expect_of_map(l, "ballooned pages", p2m->ballooned_pages, l->ballooned);
    expect_of_map(l, "RAM pages", p2m->size_pages, l->ram);
    l->promised += p2m->promised;
    l->out->ballooned_entries += l->ballooned;
    lock_release(&p2m->lock);
}

/* Frames nobody was met to use. A parked one is only there while a batch is open, and none is now. */
static void check_orphans(struct ledger *l)
{
    for (mfn_t mfn = 0; mfn < frame_pool.limit; mfn++) {
        struct frame *f = &frame_pool.table[mfn];

        if (f->state == FRAME_PARKED) {
            differ(l, "frame 0x%lx of VM slot %u is parked and no flush is under way", mfn, f->owner);
        } else if (f->state == FRAME_FREE && !f->marked) {
            differ(l, "frame 0x%lx is free but not in the free list", mfn);
        } else if (f->state == FRAME_STOCKED && !f->marked) {
            differ(l, "frame 0x%lx is stocked but in no CPU's stock", mfn);
        } else if (f->state == FRAME_TABLE && !f->marked) {
            differ(l, "frame 0x%lx is a table of VM slot %u but not in its map", mfn, f->owner);
        } else if (f->state == FRAME_GUEST && !f->marked) {
            differ(l, "frame 0x%lx is a page of VM slot %u, gfn 0x%lx, but not in its map", mfn, f->owner,
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
    check_free_list(&l);
    lock_release(&frame_pool.lock);

    check_stocks(&l);
    out->free_pages = l.states[FRAME_FREE] + l.states[FRAME_STOCKED];
    out->core_pages = l.states[FRAME_CORE];
    out->table_pages = l.states[FRAME_TABLE];
    out->guest_pages = l.states[FRAME_GUEST];
    out->total_pages =
        out->free_pages + out->core_pages + out->table_pages + out->guest_pages + l.states[FRAME_PARKED];

    for (size_t i = 0; i < map_count; i++) check_map(&l, maps[i]);

    lock_acquire(&frame_pool.lock);
    check_orphans(&l);
    check_counters(&l);
    lock_release(&frame_pool.lock);
}
