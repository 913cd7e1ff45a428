/* SPDX-License-Identifier: MIT
 *
 * What the core does by itself: the boot CPU's loop, plans, the worker, VMs that come and go.
 */
#include "verbs.h"

#include "dev/platform.h"
#include "mem/compress.h"
#include "mem/page.h"
#include "vm/paging.h"
#include "vm/plan.h"
#include "vm/snapshot.h"
#include "vm/vm_boot.h"
#include "vm/vm_disk.h"
#include "vm/vm_table.h"
#include "vm/work.h"

#include <stdio.h>
#include <string.h>

struct happened happened;

/* Who is in the middle of something, below us. */
static bool in_boot, in_worker;

/* ---- VMs come and go ---- */

static void begin_map(struct guest *g)
{
    for (unsigned i = 0; i < g->pages; i++) {
        emptied(g, i);
        g->page[i].ballooned = false;
        g->page[i].pinned = 0;
    }
    memset(g->tlb, 0, sizeof g->tlb);
    g->ballooned = 0;
    g->one_group = true;
}

/* Its memory has been forgotten. */
static void forgotten(struct guest *g)
{
    keep_pins(g);
    forget_io(g);
    begin_map(g);
    happened.resets++;
}

void create(struct guest *g)
{
    static uint32_t last_id;
    char reason[TITHE_REASON_MAX], name[8];
    struct vm *vm = &g->vm;

    if (g->exists || in_boot) return;
    memset(vm, 0, sizeof *vm);
    *g = (struct guest){.pages = (g == guests ? 160 : 20) +
                                 (unsigned)random_below(PAGES - (g == guests ? 160 : 20)),
                        .partition = PARTITIONS};
    g->low = g->pages < LOW_PAGES ? g->pages : LOW_PAGES;
    const struct p2m_range ram[] = {{FIRST_GFN, g->low}, {HIGH_GFN, g->pages - g->low}};
    const bool ept = random_below(2);
    const uint16_t slot = (uint16_t)(g - guests + 1);
    if (!p2m_create(&vm->p2m, ept ? &pt_format_ept : &pt_format_npt, slot, ram, g->pages > g->low ? 2 : 1))
        return;
    vm->p2m.flush = on_flush;
    vm->p2m.sample = &vm->sample;
    vm->sample =
        (struct sample){.random = 1 + random_below(UINT64_MAX - 1), .accessed = !ept || random_below(2)};
    vm->platform.lock = (struct lock)LOCK_INIT(LOCK_DEVICES);
    vm->slot = slot;
    vm->id = ++last_id;
    vm->state = TITHE_VM_RUNNING;
    vm->p2m.swap.avoids = true;
    vm->config.size_pages = vm->max_pages = g->pages;
    vm->config.vcpus = VCPUS;
    vm->min_pages = random_below(g->pages);
    vm->platform.blk_transport = (struct virtio_mmio){0};
    if (!vm_reserve_swap(vm, vm->min_pages, vm->max_pages, reason)) {
        vm->min_pages = vm->max_pages;
        check(vm_reserve_swap(vm, vm->min_pages, vm->max_pages, reason), "nothing, and not to be had");
    }
    g->exists = true;
    if (g - guests < 3) {
        const unsigned partition = (unsigned)random_below(PARTITIONS);
        snprintf(name, sizeof name, "part%u", partition);
        if (!vm_disk_open(vm, name, reason)) g->partition = partition;
    }
    begin_map(g);
    vm_table_put(vm);
    if (random_below(4)) {
        in_boot = true;
        share_set_group(&vm->p2m, (uint8_t)(1 + random_below(random_below(4) ? 2 : 20)));
        in_boot = false;
    }
}

void counts_of(struct guest *g)
{
    const struct p2m *p = &g->vm.p2m;

    happened.shared += p->sharing.hits + p->sharing.hint_hits;
    happened.breaks += p->sharing.breaks;
    happened.zeros += p->sharing.zeros;
    happened.recoloured += p->colouring.moved;
    happened.populated += p->populating.pages;
    happened.expanded += p->store.hits;
    happened.poor += p->store.poor;
    happened.full += p->store.full;
    happened.evicted += p->store.evicted;
    happened.unwritten += p->swap.unwritten;
    happened.writes_avoided += p->swap.writes_avoided;
    happened.reads_avoided += p->swap.reads_avoided;
    happened.outs += p->swap.outs;
    happened.ins += p->swap.ins;
    happened.moved += g->vm.moves.remapped + g->vm.moves.vacated;
    happened.sampled += g->vm.sample.counts.finished_touched;
}

void end(struct guest *g)
{
    const bool had_map = has_map(g);

    in_boot = true;
    if (had_map) counts_of(g);
    vm_destroy(&g->vm);
    in_boot = false;
    if (had_map) forgotten(g);
    check(!p2m_hold(g->vm.slot), "a map that is gone is found");
    memset(&g->vm.p2m, 0xee, sizeof g->vm.p2m); /* nobody may look there any more */
    g->exists = false;
}

/* Nothing of the VM is under way, and nobody has its map. */
static bool at_rest(const struct guest *g)
{
    return !in_boot && !in_worker && !g->busy && !share.held[g->vm.slot];
}

/* The guest reboots, or stops; the operator pauses it. */
void life_step(struct guest *g)
{
    const uint64_t what = random_below(16);

    if (!at_rest(g)) return;
    if (what < 5) {
        vm_ask(&g->vm, VM_PENDING_REBOOT);
    } else if (what < 8 && g != guests) {
        end(g);
    } else if (what < 12) {
        in_boot = true;
        (void)!vm_pause(&g->vm);
        in_boot = false;
    } else {
        in_boot = true;
        (void)!vm_unpause(&g->vm);
        in_boot = false;
    }
}

/* ---- the boot CPU ---- */

static uint64_t clock_ns;

uint64_t time_now_ns(void)
{
    return clock_ns += 1000000;
}

/* Plans are made of what was some time ago. */
uint64_t snapshot_ns(void)
{
    const uint64_t ago = random_below(3) * random_below(100000000);

    return clock_ns > ago ? clock_ns - ago : 0;
}

static void do_pending(struct guest *g)
{
    const bool had_map = has_map(g), suspended = g->vm.state == TITHE_VM_SUSPENDED;

    if (!g->exists || !g->vm.pending || !at_rest(g)) return;
    const uint64_t reboots = g->vm.reboots;
    in_boot = true;
    vm_do_pending(&g->vm);
    in_boot = false;
    if (had_map && (!has_map(g) || g->vm.reboots != reboots)) forgotten(g);
    check(!suspended || !has_map(g) || g->vm.state == TITHE_VM_SUSPENDED, "a reboot has resumed a VM");
    if (has_map(g)) return;
    happened.stopped++;
    end(g);
}

void boot_step(void)
{
    struct frame_counts f;

    if (in_boot) return;
    for (struct guest *g = guests; g < guests + VMS; g++) do_pending(g);
    in_boot = true;
    (void)paging_poll(time_now_ns());
    in_boot = false;
    frames_counts(&f);
    if (f.free > f.promised + f.reserve) vms_without_memory = (struct vm_set){0};
}

/* Images come and go: the core wants frames, in one run mostly, whatever is left for guests. */
static struct {
    mfn_t mfn;
    uint64_t frames;
} images[4];

void image_step(void)
{
    const uint64_t i = random_below(ARRAY_LEN(images));

    if (images[i].frames) {
        frame_free_run(images[i].mfn, images[i].frames);
        images[i].frames = 0;
        return;
    }
    const uint64_t frames = 1 + random_below(40);
    images[i].mfn = frame_alloc_run(frames, 1ull << random_below(3));
    if (images[i].mfn == MFN_NONE) return;
    images[i].frames = frames;
    for (uint64_t k = 0; k < frames; k++) {
        uint64_t *const words = mfn_to_virt(images[i].mfn + k);
        check(page_is_zero(words), "the core got frame 0x%lx, which is not zero", images[i].mfn + k);
        words[random_below(WORDS)] = random_below(UINT64_MAX);
    }
}

void drop_images(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(images); i++) {
        if (images[i].frames) frame_free_run(images[i].mfn, images[i].frames);
        images[i].frames = 0;
    }
}

/* ---- plans ---- */

static uint64_t some_pages(const struct guest *g)
{
    switch (random_below(8)) {
    case 0: return 0;
    case 1: return g->pages;
    case 2: return random_below(1000);
    default: return random_below(g->pages);
    }
}

static struct tithe_action some_action(struct guest *g)
{
    const uint64_t verb = random_below(4) ? random_below(TITHE_VERB_DOUBLE_PAGING + 2) : TITHE_VERB_SWAP_OUT;
    struct tithe_action a = {.verb = (uint32_t)verb, .vm = g->vm.id};
    static const uint64_t ways[] = {
        [TITHE_VERB_SAMPLE] = TITHE_SAMPLE_UNMAP + 2,
        [TITHE_VERB_SCAN] = SHARE_ORDERS + 1,
        [TITHE_VERB_SHARE_GROUP] = 3,
        [TITHE_VERB_SWAP_OUT] = SWAP_PICKS + 1,
        [TITHE_VERB_COLOUR] = 1ull << COLOURS,
        [TITHE_VERB_REMAP] = 4,
        [TITHE_VERB_VACATE] = TITHE_VACATE_COLD + 2,
        [TITHE_VERB_COMPRESS] = COMPRESS_PERCENT_MAX + 1,
        [TITHE_VERB_RESUME] = 1,
        [TITHE_VERB_DOUBLE_PAGING] = 3,
    };

    a.how = a.verb < ARRAY_LEN(ways) && ways[a.verb] ? random_below(ways[a.verb]) : 0;
    a.pages = some_pages(g);
    if (a.verb == TITHE_VERB_SHARE_GROUP && random_below(8) == 0) a.how = random_below(SHARE_GROUPS_MAX + 2);
    if (a.verb == TITHE_VERB_DOUBLE_PAGING && random_below(4)) a.how = 1;
    if (a.verb == TITHE_VERB_SHARE_GROUP || a.verb == TITHE_VERB_SUSPEND) a.pages = 0;
    if (a.verb == TITHE_VERB_COMPRESS && random_below(2)) a.pages /= 8;
    if (a.verb == TITHE_VERB_BALLOON) a.pages = g->vm.min_pages;
    return a;
}

void plan_step(void)
{
    static struct tithe_plan_result result;
    struct tithe_action plan[3];
    const uint64_t count = 1 + random_below(ARRAY_LEN(plan));

    if (in_boot) return;
    for (uint64_t i = 0; i < count; i++) {
        struct guest *g = random_guest();
        if (!g) return;
        do plan[i] = some_action(g);
        while (plan[i].verb == TITHE_VERB_SUSPEND && !(at_rest(g) && random_below(4) == 0));
    }
    in_boot = true;
    const bool applied = plan_apply(plan, count, &result);
    in_boot = false;
    *(applied ? &happened.plans : &happened.refused) += 1;
    for (uint64_t i = 0; i < count && applied; i++) {
        struct guest *g = guest_of(&vm_find(plan[i].vm)->p2m);
        if (plan[i].verb == TITHE_VERB_SHARE_GROUP) g->one_group = g->vm.p2m.sharing.pages == 0;
        happened.suspended += plan[i].verb == TITHE_VERB_SUSPEND;
    }
}

/* ---- the worker, and what other CPUs may do besides ---- */

void worker_step(void)
{
    if (in_worker) return;
    in_worker = true;
    (void)work_step();
    in_worker = false;
}

/* A scan, beside the worker's: several CPUs may. */
void scan_step(struct guest *g)
{
    struct share_scan *s = &g->scan[random_below(2)];

    g->busy++;
    check(p2m_hold(g->vm.slot) == &g->vm.p2m, "the map is not found");
    if (random_below(64) == 0) s->order = (enum share_order)random_below(SHARE_ORDERS);
    (void)share_scan(&g->vm.p2m, s, 1 + (uint32_t)random_below(SHARE_SCAN_MAX + 1));
    p2m_release(&g->vm.p2m);
    g->busy--;
}

/* Some pages get frames of the lower, or the upper, half. */
void move_step(struct guest *g)
{
    const mfn_t from = random_below(2) ? FRAMES / 2 : 0, other = FRAMES / 2 - from;
    const uint32_t want = 1 + (uint32_t)random_below(P2M_MOVE_MAX);
    enum p2m_move outcome[P2M_MOVE_MAX];
    gfn_t gfns[P2M_MOVE_MAX];
    uint32_t count = want, looked;

    g->busy++;
    if (random_below(2)) {
        count = p2m_find_within(&g->vm.p2m, &g->cursor, other, other + FRAMES / 2, random_below(2), gfns,
                                want, &looked);
    } else {
        const unsigned first = (unsigned)random_below(g->pages);
        for (uint32_t i = 0; i < want; i++) gfns[i] = gfn_of(g, first) + i; /* the last may be no RAM */
    }
    p2m_move(&g->vm.p2m, gfns, count, from, from + FRAMES / 2, outcome);
    for (uint32_t i = 0; i < count; i++) happened.placed += outcome[i] == P2M_MOVE_DONE;
    g->busy--;
}

void in_between(void)
{
    for (uint64_t n = random_below(6); n; n--) {
        const uint64_t what = random_below(960);
        struct guest *g = random_guest();
        if (!g) return;
        if (what < 560)
            guest_step();
        else if (what < 640)
            device_step(g);
        else if (what < 690)
            pinned_step(!in_boot);
        else if (what < 710)
            pin_step(g);
        else if (what < 740)
            scan_step(g);
        else if (what < 760)
            move_step(g);
        else if (what < 790)
            worker_step();
        else if (what < 820)
            balloon_step(g);
        else if (what < 900)
            (void)disk_step(!in_boot);
        else if (what < 910)
            io_step(g);
        else if (what < 928)
            boot_step();
        else if (what < 930 && !in_boot)
            image_step();
        else if (what < 959)
            plan_step();
        else
            life_step(g);
        happened.nested++;
    }
}
