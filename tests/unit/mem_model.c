/* SPDX-License-Identifier: MIT */
#include "mem_model.h"

#include <string.h>

struct model_vm vms[VMS];
unsigned frame_user[FRAMES];
unsigned frame_stale[FRAMES];
uint64_t reserve, core_frames, absent_frames;

/* RAM with holes in it: at the start, in the middle, and just below the end. */
static bool is_ram(mfn_t mfn)
{
    return mfn >= 3 && !(mfn >= 700 && mfn < 764) && mfn != FRAMES - 2;
}

void model_start(void)
{
    random_begin();
    memset(vms, 0, sizeof(vms));
    memset(frame_user, 0, sizeof(frame_user));
    memset(frame_stale, 0, sizeof(frame_stale));
    host_env_reset(FRAMES);
    reserve = 0;
    core_frames = 0;
    absent_frames = 0;
    const uint64_t table = frames_bytes(FRAMES) / PAGE_BYTES;
    frames_init(mfn_to_virt(764), FRAMES);
    frames_set_colour_count(COLOURS);
    for (mfn_t mfn = 0; mfn < FRAMES; mfn++) {
        const bool core = mfn >= 764 && mfn < 764 + table;
        if (!is_ram(mfn)) {
            absent_frames++;
            continue;
        }
        frames_add(mfn, 1, core ? FRAME_CORE : FRAME_FREE);
        frame_user[mfn] = core ? THE_CORE : NOBODY;
        core_frames += core;
    }
}

static void add_table(struct model_vm *vm, bool *exists)
{
    vm->tables += !*exists;
    *exists = true;
}

void model_needs_tables(struct model_vm *vm, gfn_t gfn)
{
    add_table(vm, &vm->table1[gfn >> 9]);
    add_table(vm, &vm->table2[gfn >> 18]);
    add_table(vm, &vm->table3);
}

/* Whether [first, first + span) lies partly, but not wholly, in the range: its entry must have been split. */
static bool cut(const struct p2m_range *r, gfn_t first, uint64_t span)
{
    const gfn_t end = r->start + r->count;

    return first < end && r->start < first + span && !(r->start <= first && first + span <= end);
}

void model_plan_vm(struct model_vm *vm, const struct p2m_range *ranges, size_t count)
{
    struct model_vm worst = {.tables = 1};

    memset(vm, 0, sizeof(*vm));
    memcpy(vm->ranges, ranges, count * sizeof(ranges[0]));
    vm->range_count = count;
    vm->tables = 1;
    for (size_t r = 0; r < count; r++) {
        for (uint64_t i = 0; i < ranges[r].count; i++) {
            vm->page[vm->size++] = (struct model_page){.gfn = ranges[r].start + i, .type = P2M_UNTOUCHED};
            model_needs_tables(&worst, ranges[r].start + i);
        }
        for (gfn_t i = 0; i < TABLES_LOW; i++) {
            if (cut(&ranges[r], i << 9, 1 << 9)) add_table(vm, &vm->table1[i]);
        }
        for (gfn_t i = 0; i < 8; i++) {
            if (cut(&ranges[r], i << 18, 1 << 18)) add_table(vm, &vm->table2[i]);
        }
        if (cut(&ranges[r], 0, 1 << 27)) add_table(vm, &vm->table3);
    }
    vm->worst = worst.tables;
}

struct model_page *model_page(struct model_vm *vm, gfn_t gfn)
{
    unsigned base = 0;

    for (size_t r = 0; r < vm->range_count; r++) {
        if (gfn >= vm->ranges[r].start && gfn - vm->ranges[r].start < vm->ranges[r].count) {
            return &vm->page[base + (gfn - vm->ranges[r].start)];
        }
        base += (unsigned)vm->ranges[r].count;
    }
    return NULL;
}

static uint64_t parked(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < VMS; i++) n += vms[i].batch.count;
    return n;
}

uint64_t model_free(void)
{
    uint64_t used = absent_frames + core_frames + parked();

    for (unsigned i = 0; i < VMS; i++) used += vms[i].alive ? vms[i].tables + vms[i].present : 0;
    return FRAMES - used;
}

uint64_t model_promised(void)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < VMS; i++) n += vms[i].alive ? vms[i].worst - vms[i].tables : 0;
    return n;
}

struct compared {
    struct model_vm *vm;
    unsigned next;
};

static void compare_page(void *ctx, gfn_t gfn, enum p2m_type type, mfn_t mfn)
{
    struct compared *c = ctx;

    check(c->next < c->vm->size, "walk: more than %u pages", c->vm->size);
    const struct model_page *p = &c->vm->page[c->next++];
    check(p->gfn == gfn && p->type == type, "walk: gfn 0x%lx type %d, not 0x%lx type %d", gfn, (int)type,
          p->gfn, (int)p->type);
    if (type != P2M_PRESENT) return;
    check(p->mfn == mfn, "gfn 0x%lx in frame 0x%lx, not 0x%lx", gfn, mfn, p->mfn);
    const uint64_t *words = mfn_to_virt(mfn);
    check(words[p->place] == p->word, "gfn 0x%lx: lost its data", gfn);
}

static void compare_vm(struct model_vm *vm)
{
    struct compared c = {.vm = vm};

    p2m_walk(&vm->p2m, 0, UINT64_MAX, compare_page, &c);
    check(c.next == vm->size, "walk: %u pages of %u", c.next, vm->size);
    check(vm->p2m.size_pages == vm->size, "size %lu, not %u", vm->p2m.size_pages, vm->size);
    check(vm->p2m.present_pages == vm->present, "present %lu, not %u", vm->p2m.present_pages, vm->present);
    check(vm->p2m.ballooned_pages == vm->ballooned, "ballooned %lu, not %u", vm->p2m.ballooned_pages,
          vm->ballooned);
    check(vm->p2m.table_pages == vm->tables, "tables %lu, not %u", vm->p2m.table_pages, vm->tables);
    check(vm->p2m.promised == vm->worst - vm->tables, "promised %lu", vm->p2m.promised);
    check(vm->p2m.first_touches == vm->first_touches, "first touches");
    check(vm->p2m.pops == vm->pops, "pops %lu, not %lu", vm->p2m.pops, vm->pops);
    const struct frame_coloured coloured = frames_coloured(vm->p2m.owner);
    check(coloured.given == vm->coloured && coloured.off == vm->off_colour,
          "%lu pages of its colours and %lu of others", coloured.given, coloured.off);
}

void model_compare(void)
{
    struct tithe_ledger ledger;
    struct frame_counts c;
    struct p2m *maps[VMS];
    size_t n = 0;
    uint64_t tables = 0, present = 0, ballooned = 0;

    for (unsigned i = 0; i < VMS; i++) {
        if (!vms[i].alive) continue;
        compare_vm(&vms[i]);
        maps[n++] = &vms[i].p2m;
        tables += vms[i].tables;
        present += vms[i].present;
        ballooned += vms[i].ballooned;
    }
    frames_counts(&c);
    check(c.free == model_free(), "free %lu, not %lu", c.free, model_free());
    check(c.promised == model_promised(), "promised %lu, not %lu", c.promised, model_promised());
    check(c.table == tables && c.guest == present && c.core == core_frames && c.parked == 0, "counts");
    check(c.total == FRAMES - absent_frames, "total %lu", c.total);
    for (mfn_t mfn = 0; mfn < FRAMES; mfn++) {
        check(frame_stale[mfn] == NOBODY, "frame 0x%lx is stale with no batch open", mfn);
        check((frame_user[mfn] == THE_CORE) == (frame_state(mfn) == FRAME_CORE), "frame 0x%lx core or not",
              mfn);
        const unsigned user = frame_user[mfn] == THE_CORE ? NOBODY : frame_user[mfn];
        check((user != NOBODY) == (frame_state(mfn) == FRAME_GUEST), "frame 0x%lx guest or not", mfn);
        check(user == NOBODY || frame_owner(mfn) == user, "frame 0x%lx owner %u", mfn, frame_owner(mfn));
    }
    ledger_check(maps, n, &ledger);
    check(ledger.differences == 0, "ledger: %s", ledger.first);
    check(ledger.ballooned_entries == ballooned && ledger.guest_pages == present &&
              ledger.table_pages == tables && ledger.free_pages == c.free && ledger.core_pages == core_frames,
          "ledger's sums");
    check(host_env_locks() == 0, "locks held");
}
