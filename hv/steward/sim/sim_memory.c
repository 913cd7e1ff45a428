/* SPDX-License-Identifier: MIT
 *
 * Simulated memory: what the verbs of plans do with VMs' pages, and what guests do to that as time goes by. All takes effect
 * at once: no disk and no worker is slow.
 */
#include <string.h>
#include "sim.h"

/* What a store makes of a page. */
#define RATIO        3u
/* Of a guest's memory, what it has in common with every other guest, what is zeros, and what of shared pages it writes to in a
 * second: much of it, once the group is another's. */
#define ALIKE_PART   0.25
#define ZERO_PART    0.1
#define WRITES       0.01
#define MOVED_WRITES 0.2
/* A guest with a disk works on so many pages of it, with so many transfers in a second. Frames within the disks' reach are taken but for
 * a few. */
#define IO_PAGES     64u
#define IO_RATE      400.0

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void sum_shared(struct sim *sim)
{
    struct tithe_snapshot *s = &sim->snap;
    uint64_t zeros[TITHE_SHARE_GROUPS_MAX + 1] = {0}, alike[TITHE_SHARE_GROUPS_MAX + 1] = {0};
    s->shared_entries = s->shared_frames = s->zero_entries = 0;
    for (uint32_t i = 0; i < s->vm_count; i++) {
        struct tithe_vm_snapshot *vm = &s->vm[i];
        struct sim_guest *g = &sim->guests[i];
        g->zeros = least(g->zeros, vm->consumed_pages - vm->store_pages);
        g->alike = least(g->alike, vm->consumed_pages - vm->store_pages - g->zeros);
        vm->shared_pages = g->zeros + g->alike;
        s->shared_entries += vm->shared_pages;
        s->zero_entries += g->zeros;
        if (g->zeros > 0 && (g->shares_with == 0 || zeros[g->shares_with]++ == 0)) s->shared_frames++;
        if (g->alike > alike[g->shares_with]) { /* everybody's begin with the same ones */
            s->shared_frames += g->alike - alike[g->shares_with];
            alike[g->shares_with] = g->alike;
        }
    }
}

void sim_account(struct sim *sim)
{
    struct tithe_snapshot *s = &sim->snap;
    s->guest_pages = s->overhead_pages = s->swap_reserved_pages = 0;
    s->swap_free_pages = s->swap_pages;
    for (uint32_t i = 0; i < s->vm_count; i++) {
        s->guest_pages += s->vm[i].consumed_pages;
        s->overhead_pages += s->vm[i].overhead_pages;
        s->swap_reserved_pages += s->vm[i].swap_reserved_pages;
        s->swap_free_pages -= s->vm[i].swapped_pages;
    }
    sum_shared(sim);
    s->guest_pages -= s->shared_entries - s->shared_frames;
    s->free_pages = s->total_pages - s->core_pages - s->overhead_pages - s->guest_pages;
}

/* What may be taken above the reserve. */
static uint64_t spare_pages(const struct sim *sim)
{
    const struct tithe_snapshot *s = &sim->snap;
    return s->free_pages > s->reserve_pages ? s->free_pages - s->reserve_pages : 0;
}

/* ---- Out and in --------------------------------------------------------- */

/* Pages in the VM's store take a part of what they were. */
static void set_compressed(struct tithe_vm_snapshot *vm, uint64_t pages)
{
    vm->consumed_pages -= vm->store_pages;
    vm->compressed_pages = pages;
    vm->compressed_bytes = pages * TITHE_PAGE_BYTES / RATIO;
    vm->store_pages = (pages + RATIO - 1) / RATIO;
    vm->consumed_pages += vm->store_pages;
}

/* Returns how many went there. */
static uint64_t compress(struct tithe_vm_snapshot *vm, uint64_t pages)
{
    const uint64_t room = vm->store_limit_pages * RATIO;
    pages = least(pages, room - least(room, vm->compressed_pages));
    vm->compress_tried += pages;
    vm->consumed_pages -= pages;
    set_compressed(vm, vm->compressed_pages + pages);
    return pages;
}

/* What is shared stays. */
static void swap_out(struct sim *sim, uint32_t index, uint64_t pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[index];
    const uint64_t slots =
        vm->swap_reserved_pages - least(vm->swap_reserved_pages, vm->swapped_pages + vm->compressed_pages);
    pages = least(pages, least(slots, vm->consumed_pages - vm->store_pages - vm->shared_pages));
    pages -= compress(vm, pages);
    if (sim->snap.swap_pages == 0) pages = 0;
    vm->swapped_pages += pages;
    vm->swapped_out += pages;
    vm->consumed_pages -= pages;
    sim_account(sim);
}

static void swap_in(struct sim *sim, uint32_t index, uint64_t pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[index];
    pages = least(pages, least(vm->swapped_pages, spare_pages(sim)));
    vm->swapped_pages -= pages;
    vm->swapped_in += pages;
    vm->consumed_pages += pages;
    sim_account(sim);
}

void sim_suspend(struct sim *sim, uint32_t i)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    uint64_t all = vm->consumed_pages - vm->store_pages + vm->compressed_pages + vm->swapped_pages;
    if (vm->state != TITHE_VM_SUSPENDED) {
        sim->guests[i].resumes = vm->state;
        vm->state = TITHE_VM_SUSPENDED;
        sim_event(sim, TITHE_EVENT_VM_SUSPENDED, vm->id, 0, 0, vm->name);
    }
    if (vm->swap_reserved_pages < all) vm->swap_reserved_pages = all;
    const uint64_t evicted = vm->compressed_pages; /* its store is emptied, too */
    set_compressed(vm, 0);
    vm->swapped_pages += evicted;
    vm->evicted_pages += evicted;
    vm->swapped_out += evicted;
    const uint64_t limit = vm->store_limit_pages;
    vm->store_limit_pages = 0;
    swap_out(sim, i, vm->consumed_pages);
    vm->store_limit_pages = limit;
}

bool sim_resume(struct sim *sim, uint32_t i, uint64_t pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    if (vm->state != TITHE_VM_SUSPENDED) return false;
    vm->state = sim->guests[i].resumes;
    vm->swap_reserved_pages = vm->max_pages - vm->min_pages;
    if (vm->swap_reserved_pages < vm->swapped_pages) vm->swap_reserved_pages = vm->swapped_pages;
    swap_in(sim, i, pages);
    sim_event(sim, TITHE_EVENT_VM_RESUMED, vm->id, 0, 0, vm->name);
    return true;
}

static void populate(struct sim *sim, uint32_t i, uint64_t pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    const uint64_t taken =
        vm->ballooned_pages + vm->consumed_pages - vm->store_pages + vm->swapped_pages + vm->compressed_pages;
    const uint64_t given =
        least(least(pages, vm->size_pages - least(vm->size_pages, taken)), spare_pages(sim));
    if (pages == 0) return;
    vm->consumed_pages += given;
    vm->populated_pages += given;
    sim_account(sim);
    sim_event(sim, TITHE_EVENT_VM_POPULATED, vm->id, given, pages - given, vm->name);
}

void sim_touch(struct sim *sim, uint32_t i, uint64_t want_pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    const uint64_t has = vm->consumed_pages - vm->store_pages;
    if (want_pages <= has) return;
    const uint64_t more = least(want_pages - has, spare_pages(sim)),
                   expanded = least(more, vm->compressed_pages),
                   back = least(more - expanded, vm->swapped_pages);
    vm->consumed_pages += more;
    vm->expanded_pages += expanded;
    set_compressed(vm, vm->compressed_pages - expanded);
    vm->swapped_pages -= back;
    vm->swapped_in += back;
    vm->first_touches += more - expanded - back;
    sim_account(sim);
}

/* ---- Working sets ------------------------------------------------------- */

/* How many of so many random pages are in the working set. */
static uint64_t hits(struct sim *sim, uint32_t i, uint64_t pages)
{
    double active = sim->guests[i].demand_pages / (double)sim->snap.vm[i].size_pages;
    uint64_t hit = 0;
    for (uint64_t p = 0; p < pages; p++) hit += sim_uniform(sim) < active;
    return hit;
}

/* A period shows the working set of its end; `touched` of one under way, that of the last look. */
static void sample(struct sim *sim, uint32_t i, const struct tithe_action *a)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct tithe_sample *s = &vm->sample;
    uint64_t touched = hits(sim, i, s->pages);
    if (touched > s->touched) s->touched = touched;
    if (a->pages == 0) return;
    *s = (struct tithe_sample){.period = s->period + 1,
                               .method = a->how,
                               .pages = least(a->pages, vm->size_pages),
                               .started_ns = sim->snap.now_ns,
                               .started_cpu_ns = vm->cpu_ns,
                               .finished_pages = s->pages,
                               .finished_touched = s->touched};
}

/* ---- Sharing ------------------------------------------------------------ */

/* Whether somebody else has pages like this VM's in its group. */
static bool in_company(const struct sim *sim, uint32_t i)
{
    for (uint32_t k = 0; k < sim->snap.vm_count; k++) {
        if (k != i && sim->snap.vm[k].share_group == sim->snap.vm[i].share_group) return true;
    }
    return false;
}

/* Pages that were found to be shared are not looked at again; of the others so many of each sort are met as there are. */
static void scan(struct sim *sim, uint32_t i, uint64_t pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct sim_guest *g = &sim->guests[i];
    const uint64_t own = vm->consumed_pages - vm->store_pages - vm->shared_pages, looked = least(pages, own);
    const double part = own > 0 ? (double)looked / (double)own : 0, has = (double)(own + vm->shared_pages);
    if (vm->shared_pages == 0) g->shares_with = vm->share_group;
    const bool company = vm->share_group != 0 && g->shares_with == vm->share_group && in_company(sim, i);
    const uint64_t zeros = (uint64_t)(has * ZERO_PART), alike = company ? (uint64_t)(has * ALIKE_PART) : 0;
    const uint64_t more_zeros = (uint64_t)(part * (double)(zeros - least(zeros, g->zeros))),
                   more_alike = (uint64_t)(part * (double)(alike - least(alike, g->alike)));
    vm->scanned_pages += looked;
    vm->scan_hits += more_zeros + more_alike;
    vm->scan_zeros += more_zeros;
    g->zeros += more_zeros;
    g->alike += more_alike;
    sim_account(sim);
}

/* As long as there is memory for copies: else the guest would wait. */
static void write_shared(struct sim *sim, uint32_t i, double seconds)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct sim_guest *g = &sim->guests[i];
    const double rate = g->shares_with == vm->share_group ? WRITES : MOVED_WRITES;
    g->writes += rate * seconds * (double)vm->shared_pages;
    const uint64_t writes = least((uint64_t)g->writes, spare_pages(sim)), alike = least(writes, g->alike),
                   zeros = least(writes - alike, g->zeros);
    g->writes -= (double)(uint64_t)g->writes;
    g->alike -= alike;
    g->zeros -= zeros;
    vm->cow_breaks += alike + zeros;
}

/* ---- Disks -------------------------------------------------------------- */

static void show_hot(struct tithe_vm_snapshot *vm, const struct sim_guest *g)
{
    struct tithe_disk_use *d = &vm->disk;
    uint64_t *const hot[] = {&d->hot_1, &d->hot_4, &d->hot_16, &d->hot_64, &d->hot_256, &d->hot_1024};
    double copies = 1;
    for (unsigned k = 0; k < sizeof hot / sizeof *hot; k++, copies *= 4)
        *hot[k] = g->copies >= copies ? g->far_pages : 0;
}

void sim_disk_begin(struct sim *sim, uint32_t i)
{
    sim->guests[i].far_pages = sim->snap.vm[i].disk.sectors != 0 ? IO_PAGES : 0;
    sim->guests[i].copies = 0;
    show_hot(&sim->snap.vm[i], &sim->guests[i]);
}

static void use_disk(struct sim *sim, uint32_t i, double seconds)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct sim_guest *g = &sim->guests[i];
    const uint64_t transfers = (uint64_t)(IO_RATE * seconds), copied = transfers * g->far_pages / IO_PAGES;
    if (vm->disk.sectors == 0) return;
    vm->disk.requests += transfers;
    vm->disk.copied += copied;
    vm->disk.direct += transfers - copied;
    g->copies += (double)transfers / IO_PAGES;
    show_hot(vm, g);
}

static void remap(struct sim *sim, uint32_t i, const struct tithe_action *a)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    struct sim_guest *g = &sim->guests[i];
    if (g->copies < (double)a->how) return;
    const uint64_t tried = least(a->pages, g->far_pages), moved = least(tried, sim->low_free_pages);
    sim->low_free_pages -= moved;
    g->far_pages -= moved;
    vm->remapped_pages += moved;
    vm->moves_no_frame += tried - moved;
    show_hot(vm, g);
}

static void vacate(struct sim *sim, uint32_t i, uint64_t pages)
{
    struct tithe_vm_snapshot *vm = &sim->snap.vm[i];
    const uint64_t part = sim->snap.total_pages / sim->snap.dma_limit_pages,
                   moved = least(pages, vm->consumed_pages / part / 2);
    sim->low_free_pages += moved;
    vm->vacated_pages += moved;
}

/* ---- Between the files -------------------------------------------------- */

void sim_use_memory(struct sim *sim, uint32_t i, double seconds)
{
    write_shared(sim, i, seconds);
    use_disk(sim, i, seconds);
}

void sim_do(struct sim *sim, const struct tithe_action *a)
{
    uint32_t i = sim_find(sim, a->vm);
    switch (a->verb) {
    case TITHE_VERB_BALLOON: sim_retarget(sim, i, a->pages); break;
    case TITHE_VERB_SAMPLE: sample(sim, i, a); break;
    case TITHE_VERB_SCAN: scan(sim, i, a->pages); break;
    case TITHE_VERB_SHARE_GROUP: sim->snap.vm[i].share_group = a->how; break;
    case TITHE_VERB_DOUBLE_PAGING: sim->snap.vm[i].avoids_double_paging = a->how; break;
    case TITHE_VERB_SUSPEND: sim_suspend(sim, i); break;
    case TITHE_VERB_RESUME: sim_resume(sim, i, a->pages); break;
    case TITHE_VERB_COLOUR:
        sim->snap.vm[i].colours = a->how + 1 == 1ull << sim->snap.colours ? 0 : a->how;
        break;
    case TITHE_VERB_POPULATE: populate(sim, i, a->pages); break;
    case TITHE_VERB_COMPRESS: sim->snap.vm[i].store_limit_pages = a->pages; break;
    case TITHE_VERB_SWAP_OUT: swap_out(sim, i, a->pages); break;
    case TITHE_VERB_PREFETCH: swap_in(sim, i, a->pages); break;
    case TITHE_VERB_REMAP: remap(sim, i, a); break;
    case TITHE_VERB_VACATE: vacate(sim, i, a->pages); break;
    default: break;
    }
}
