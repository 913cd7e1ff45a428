/* SPDX-License-Identifier: MIT
 *
 * Millions of random steps, compared with the reference. MEM_SEED and MEM_STEPS choose others; every seed
 * gives the same run.
 */
#include "mem_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS 3u

static const struct pt_format *format;
static struct {
    mfn_t mfn;
    uint64_t count;
} runs[8]; /* what the core holds */

static struct {
    uint64_t touches, pops, waits, vms, refused_vms, moved, off_colour;
} happened;

static unsigned number(const struct model_vm *vm)
{
    return (unsigned)(vm - vms) + 1;
}

static struct model_vm *vm_of(struct p2m *p2m)
{
    return CONTAINER_OF(p2m, struct model_vm, p2m);
}

/* Whatever the VM has taken from its map must be waiting now, and may be used again from now on. */
static void on_flush(struct p2m *p2m)
{
    struct model_vm *vm = vm_of(p2m);

    vm->flushes++;
    check(host_env_locks() == 0, "flush with locks held");
    for (mfn_t mfn = 0; mfn < FRAMES; mfn++) {
        if (frame_stale[mfn] != number(vm)) continue;
        check(frame_state(mfn) == FRAME_PARKED, "frame 0x%lx was not kept for the flush", mfn);
        frame_stale[mfn] = NOBODY;
    }
}

static void got_frame(mfn_t mfn, unsigned user)
{
    static const uint8_t zero[PAGE_BYTES];

    check(mfn < FRAMES, "frame 0x%lx", mfn);
    check(frame_user[mfn] == NOBODY, "frame 0x%lx has an owner: %u", mfn, frame_user[mfn]);
    check(frame_stale[mfn] == NOBODY, "frame 0x%lx is used again before the flush of VM %u", mfn,
          frame_stale[mfn]);
    check(memcmp(mfn_to_virt(mfn), zero, PAGE_BYTES) == 0, "frame 0x%lx is not zero", mfn);
    frame_user[mfn] = user;
}

static void lost_page(struct model_vm *vm, struct model_page *p)
{
    frame_user[p->mfn] = NOBODY;
    frame_stale[p->mfn] = number(vm);
    vm->present--;
}

static void write_page(struct model_page *p)
{
    uint64_t *words = mfn_to_virt(p->mfn);

    p->place = (unsigned)random_below(512);
    p->word = random_below(UINT64_MAX);
    words[p->place] = p->word;
}

/* Mostly RAM, at times a hole, at times something no guest has. */
static gfn_t random_gfn(struct model_vm *vm)
{
    const uint64_t kind = random_below(64);

    if (kind == 0) return random_below(UINT64_MAX);
    if (kind == 1) return random_below(1ull << 36);
    if (kind == 2) return random_below(4096);
    return vm->page[random_below(vm->size)].gfn;
}

/* ---- colours ---- */

static bool is_coloured(const struct model_vm *vm, mfn_t mfn)
{
    return vm->colours == 0 || vm->colours >> mfn % COLOURS & 1;
}

/* Whether some free frame is of its colours, wherever. */
static bool colour_is_free(const struct model_vm *vm)
{
    for (mfn_t mfn = 0; mfn < FRAMES; mfn++) {
        const enum frame_state s = frame_state(mfn);
        if ((s == FRAME_FREE || s == FRAME_STOCKED) && is_coloured(vm, mfn)) return true;
    }
    return false;
}

static void got_colour(struct model_vm *vm, mfn_t mfn, bool was_free)
{
    check(is_coloured(vm, mfn) == was_free, "frame 0x%lx of colours 0x%x, of which there is %s", mfn,
          vm->colours, was_free ? "one" : "none");
    vm->coloured += vm->colours && was_free;
    vm->off_colour += vm->colours && !was_free;
}

/* ---- steps ---- */

static void touch(struct model_vm *vm)
{
    const gfn_t gfn = random_gfn(vm);
    struct model_page *p = model_page(vm, gfn);
    const bool room = model_free() > model_promised() + reserve;
    const bool coloured = colour_is_free(vm);
    mfn_t mfn = MFN_NONE;
    const enum p2m_touch got = p2m_touch(&vm->p2m, gfn, true);

    (void)p2m_lookup(&vm->p2m, gfn, &mfn);
    if (!p) {
        check(got == P2M_TOUCH_HOLE, "touch of hole 0x%lx: %d", gfn, (int)got);
        return;
    }
    if (p->type == P2M_PRESENT) {
        check(got == P2M_TOUCH_OK && mfn == p->mfn, "touch of present 0x%lx", gfn);
        check(((uint64_t *)mfn_to_virt(mfn))[p->place] == p->word, "gfn 0x%lx: lost its data", gfn);
        return;
    }
    check(got == (room ? P2M_TOUCH_OK : P2M_TOUCH_NO_MEMORY), "touch of 0x%lx: %d, room %d", gfn, (int)got,
          room);
    happened.touches += room && p->type == P2M_UNTOUCHED;
    happened.pops += room && p->type == P2M_BALLOONED;
    happened.waits += !room;
    if (!room) return;
    got_frame(mfn, number(vm));
    got_colour(vm, mfn, coloured);
    model_needs_tables(vm, gfn);
    vm->first_touches += p->type == P2M_UNTOUCHED;
    vm->pops += p->type == P2M_BALLOONED;
    vm->ballooned -= p->type == P2M_BALLOONED;
    vm->present++;
    p->type = P2M_PRESENT;
    p->mfn = mfn;
    write_page(p);
}

/* What giving gfn to the balloon must answer; the model follows. */
static enum p2m_give model_give(struct model_vm *vm, gfn_t gfn)
{
    struct model_page *p = model_page(vm, gfn);

    if (!p) return P2M_GIVE_HOLE;
    if (p->type == P2M_BALLOONED) return P2M_GIVE_ALREADY;
    if (p->type == P2M_PRESENT) lost_page(vm, p);
    model_needs_tables(vm, gfn);
    p->type = P2M_BALLOONED;
    vm->ballooned++;
    return P2M_GIVE_OK;
}

static bool model_take(struct model_vm *vm, gfn_t gfn)
{
    struct model_page *p = model_page(vm, gfn);

    if (!p || p->type != P2M_BALLOONED) return false;
    p->type = P2M_UNTOUCHED;
    vm->ballooned--;
    return true;
}

static void balloon(struct model_vm *vm)
{
    const gfn_t gfn = random_gfn(vm);
    const enum p2m_give got = p2m_balloon(&vm->p2m, gfn, &vm->batch);

    check(got == model_give(vm, gfn), "balloon of 0x%lx: %d", gfn, (int)got);
}

static void unballoon(struct model_vm *vm)
{
    const gfn_t gfn = random_gfn(vm);

    check(p2m_unballoon(&vm->p2m, gfn) == model_take(vm, gfn), "unballoon of 0x%lx", gfn);
}

/* As a driver sends them: some run on, some jump. */
static size_t random_message(struct model_vm *vm, uint32_t gfns[16])
{
    const size_t count = random_below(17);
    gfn_t gfn = random_gfn(vm);

    for (size_t i = 0; i < count; i++) {
        gfns[i] = (uint32_t)gfn;
        gfn = random_below(4) ? gfn + 1 : random_gfn(vm);
    }
    return count;
}

static void balloon_message(struct model_vm *vm)
{
    uint32_t gfns[16];
    const size_t count = random_message(vm, gfns);
    size_t want = 0;
    const size_t got = p2m_balloon_pages(&vm->p2m, gfns, count, &vm->batch);

    for (size_t i = 0; i < count; i++) want += model_give(vm, gfns[i]) == P2M_GIVE_OK;
    check(got == want, "a message of %lu: %lu given, not %lu", count, got, want);
}

static void unballoon_message(struct model_vm *vm)
{
    uint32_t gfns[16];
    const size_t count = random_message(vm, gfns);
    size_t want = 0;
    const size_t got = p2m_unballoon_pages(&vm->p2m, gfns, count);

    for (size_t i = 0; i < count; i++) want += model_take(vm, gfns[i]);
    check(got == want, "a message of %lu: %lu taken, not %lu", count, got, want);
}

static void discharge(struct model_vm *vm)
{
    const uint64_t before = vm->flushes;
    const bool owed = vm->batch.count != 0;

    flush_discharge(&vm->batch);
    check(vm->flushes == before + owed, "%lu flushes", vm->flushes - before);
    check(vm->batch.count == 0, "batch not empty");
}

static void lookup(struct model_vm *vm)
{
    const gfn_t gfn = random_gfn(vm);
    const struct model_page *p = model_page(vm, gfn);
    mfn_t mfn = MFN_NONE;
    const enum p2m_type got = p2m_lookup(&vm->p2m, gfn, &mfn);

    check(got == (p ? p->type : P2M_HOLE), "lookup of 0x%lx: %d", gfn, (int)got);
    check(got != P2M_PRESENT || mfn == p->mfn, "lookup of 0x%lx: frame 0x%lx", gfn, mfn);
}

static void guest_write(struct model_vm *vm)
{
    struct model_page *p = &vm->page[random_below(vm->size)];

    if (p->type == P2M_PRESENT) write_page(p);
}

/* A vCPU whose TLB has not been flushed still writes where a page was. */
static void stale_write(void)
{
    const mfn_t mfn = random_below(FRAMES);

    if (frame_stale[mfn] != NOBODY) memset(mfn_to_virt(mfn), 0xbd, 256);
}

static void pop_all(struct model_vm *vm)
{
    check(p2m_pop_all(&vm->p2m) == vm->ballooned, "pop_all");
    for (unsigned i = 0; i < vm->size; i++) {
        if (vm->page[i].type == P2M_BALLOONED) vm->page[i].type = P2M_UNTOUCHED;
    }
    vm->ballooned = 0;
}

static void forget_all(struct model_vm *vm)
{
    for (unsigned i = 0; i < vm->size; i++) {
        if (vm->page[i].type == P2M_PRESENT) lost_page(vm, &vm->page[i]);
        vm->page[i].type = P2M_UNTOUCHED;
    }
    vm->ballooned = 0;
}

static void set_colours(struct model_vm *vm, uint64_t recolour)
{
    const uint32_t mask = (uint32_t)random_below(random_below(2) ? 1 : 1 << COLOURS);

    vm->colours = mask == (1 << COLOURS) - 1 ? 0 : mask;
    p2m_set_colours(&vm->p2m, mask, recolour);
    check(frames_colours(vm->p2m.owner) == vm->colours, "colours 0x%x", frames_colours(vm->p2m.owner));
}

/* Pages keep what is in them. All that stray are moved, unless there is no frame for one of them: what a
 * step of 32 has given up is free at its end. */
static void recolour(struct model_vm *vm)
{
    uint64_t strays = 0;

    set_colours(vm, vm->size);
    while (p2m_recolour_step(&vm->p2m)) continue;
    for (unsigned i = 0; i < vm->size; i++) {
        struct model_page *p = &vm->page[i];
        mfn_t mfn = MFN_NONE;
        if (p->type != P2M_PRESENT) continue;
        check(p2m_lookup(&vm->p2m, p->gfn, &mfn) == P2M_PRESENT, "gfn 0x%lx is gone", p->gfn);
        strays += !is_coloured(vm, mfn);
        if (mfn == p->mfn) continue;
        check(is_coloured(vm, mfn) && !is_coloured(vm, p->mfn), "gfn 0x%lx was moved from 0x%lx to 0x%lx",
              p->gfn, p->mfn, mfn);
        check(frame_user[mfn] == NOBODY && frame_stale[mfn] == NOBODY, "moved to frame 0x%lx, which is used",
              mfn);
        check(((uint64_t *)mfn_to_virt(mfn))[p->place] == p->word, "gfn 0x%lx: lost its data", p->gfn);
        frame_user[p->mfn] = NOBODY;
        frame_user[mfn] = number(vm);
        p->mfn = mfn;
        vm->coloured++;
        happened.moved++;
    }
    check(!strays || !colour_is_free(vm) || model_free() < model_promised() + reserve + 32,
          "%lu pages were not moved", strays);
    check(vm->colours == 0 || strays || p2m_strays(&vm->p2m) == 0, "no page strays, and %lu are said to",
          p2m_strays(&vm->p2m));
}

static void reset(struct model_vm *vm)
{
    discharge(vm);
    forget_all(vm);
    p2m_reset(&vm->p2m);
}

static void destroy(struct model_vm *vm)
{
    discharge(vm);
    forget_all(vm);
    happened.off_colour += vm->off_colour;
    p2m_destroy(&vm->p2m);
    vm->alive = false;
}

static void create(struct model_vm *vm)
{
    struct p2m_range ranges[RANGES_MAX];
    size_t count = 0;
    gfn_t at = 0;

    /* As a PC has them, or pieces with gaps between. */
    while (count < RANGES_MAX - 1) {
        if (random_below(2)) at += random_below(700);
        ranges[count] = (struct p2m_range){at, 1 + random_below(random_below(3) ? 300 : 2000)};
        at += ranges[count++].count;
        if (random_below(3) == 0) break;
    }
    if (random_below(2))
        ranges[count++] = (struct p2m_range){HIGH_GFN + random_below(600), 1 + random_below(400)};
    const uint64_t kept = model_promised() + reserve;
    const uint64_t free = model_free();
    model_plan_vm(vm, ranges, count);
    check(p2m_table_pages(ranges, count) == vm->worst, "worst case of tables, not %u", vm->worst);
    const bool room = free >= kept && free - kept >= vm->worst;
    const bool got = p2m_create(&vm->p2m, format, (uint16_t)number(vm), ranges, count);
    check(got == room, "create with %lu free, %lu kept, %u wanted", free, kept, vm->worst);
    happened.vms += got;
    happened.refused_vms += !got;
    if (!got) return;
    vm->alive = true;
    vm->p2m.flush = on_flush;
    vm->batch = (struct flush_batch){.p2m = &vm->p2m, .parked = MFN_NONE};
}

static bool run_exists(uint64_t count, uint64_t align)
{
    for (mfn_t start = 0; start + count <= FRAMES; start += align) {
        uint64_t n = 0;
        while (n < count && (frame_state(start + n) == FRAME_FREE || frame_state(start + n) == FRAME_STOCKED))
            n++;
        if (n == count) return true;
    }
    return false;
}

static void core_run(void)
{
    const size_t i = random_below(ARRAY_LEN(runs));

    if (runs[i].count) {
        frame_free_run(runs[i].mfn, runs[i].count);
        for (uint64_t k = 0; k < runs[i].count; k++) frame_user[runs[i].mfn + k] = NOBODY;
        core_frames -= runs[i].count;
        runs[i].count = 0;
        return;
    }
    const bool single = random_below(2);
    const uint64_t count = single ? 1 : 1 + random_below(20);
    const uint64_t align = 1ull << random_below(5);
    const bool room = model_free() - model_promised() >= count;
    const mfn_t mfn = single ? frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) : frame_alloc_run(count, align);
    if (mfn == MFN_NONE) {
        check(!room || !single, "no frame for the core");
        check(!room || !run_exists(count, align), "a run of %lu was not found", count);
        return;
    }
    check(room && (single || mfn % align == 0), "run of %lu at 0x%lx", count, mfn);
    for (uint64_t k = 0; k < count; k++) got_frame(mfn + k, THE_CORE);
    core_frames += count;
    runs[i].mfn = mfn;
    runs[i].count = count;
}

static void new_reserve(void)
{
    reserve = random_below(8) ? random_below(60) : random_below(FRAMES);
    frames_set_reserve(reserve);
}

static void discharge_all(void)
{
    for (unsigned i = 0; i < VMS; i++) {
        if (vms[i].alive) discharge(&vms[i]);
    }
}

static void one_step(void)
{
    const uint64_t what = random_below(10000);
    struct model_vm *vm = &vms[random_below(VMS)];

    /* Which CPU does it makes no difference that anyone could see. */
    host_env_cpu((uint32_t)random_below(CPUS));
    if (!vm->alive) {
        if (what < 200)
            create(vm);
        else if (what < 202)
            new_reserve(); /* or with a large one nothing would ever be made again */
        return;
    }
    if (what < 4700)
        touch(vm);
    else if (what < 4790)
        set_colours(vm, 0);
    else if (what < 4800)
        recolour(vm);
    else if (what < 5400)
        balloon(vm);
    else if (what < 5800)
        balloon_message(vm);
    else if (what < 6800)
        unballoon(vm);
    else if (what < 6950)
        unballoon_message(vm);
    else if (what < 8600)
        lookup(vm);
    else if (what < 9400)
        guest_write(vm);
    else if (what < 9700)
        discharge(vm);
    else if (what < 9900)
        stale_write();
    else if (what < 9980)
        core_run();
    else if (what < 9990)
        pop_all(vm);
    else if (what < 9992)
        new_reserve();
    else if (what < 9994)
        reset(vm);
    else if (what < 9999)
        destroy(vm);
    check(!vm->alive || vm->p2m.table_pages == vm->tables, "%lu table pages, not %u", vm->p2m.table_pages,
          vm->tables);
}

static void run(const struct pt_format *f, uint64_t steps)
{
    format = f;
    memset(runs, 0, sizeof(runs));
    memset(&happened, 0, sizeof(happened));
    model_start();
    for (step = 1; step <= steps; step++) {
        one_step();
        if (step % 4096 && step != steps) continue;
        discharge_all();
        model_compare();
    }
    for (unsigned i = 0; i < VMS; i++) {
        if (vms[i].alive) destroy(&vms[i]);
    }
    model_compare();
    check(happened.touches && happened.pops && happened.waits && happened.vms && happened.refused_vms &&
              happened.moved && happened.off_colour,
          "too little happened");
}

int main(void)
{
    const char *const wanted_seed = getenv("MEM_SEED"), *const wanted_steps = getenv("MEM_STEPS");
    const uint64_t steps = wanted_steps ? strtoull(wanted_steps, NULL, 0) : 2000000;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..2\n");
    for (unsigned i = 0; i < 2; i++) {
        const struct pt_format *f = i ? &pt_format_npt : &pt_format_ept;
        seed = (wanted_seed ? strtoull(wanted_seed, NULL, 0) : 20021) + i;
        printf("# %s: seed %lu, %lu steps\n", f->name, seed, steps);
        run(f, steps);
        printf("# %lu first touches, %lu pops, %lu times no memory, %lu VMs made, %lu refused, %lu pages "
               "moved, %lu "
               "off colour\n",
               happened.touches, happened.pops, happened.waits, happened.vms, happened.refused_vms,
               happened.moved, happened.off_colour);
        printf("ok %u - %s agrees with the reference\n", i + 1, f->name);
    }
    host_env_end();
    return 0;
}
