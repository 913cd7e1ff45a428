/* SPDX-License-Identifier: MIT
 *
 * Sharing in a random order of everything that can happen to pages, against a copy of what each guest believes to be in its
 * memory. Guests look through TLBs that forget nothing but at a flush, and go on in the middle of it. MEM_SEED and MEM_STEPS
 * choose other runs; every seed gives the same one.
 */
#include "host_env.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/p2m_tables.h"
#include "mem/sample.h"
#include "mem/share.h"
#include "mem/share_table.h"
#include "reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VMS       4u
#define VCPUS     2u
#define PAGES     160u
#define FIRST_GFN 440u /* RAM lies in two tables */
#define FRAMES    330u
#define CPUS      3u
#define WORDS     (PAGE_BYTES / sizeof(uint64_t))
#define KINDS     7u /* of contents that are written */
#define COLOURS   4u

struct page {
    bool present, ballooned;
    unsigned pinned;
    bool leaving; /* is being given away: nobody uses it, but a CPU may still know where it was */
    uint64_t word
        [WORDS]; /* what the guest finds there; of one that is not present: through a TLB that has not forgotten it */
};

struct translation {
    mfn_t mfn;
    bool known, writable;
};

static struct vm {
    bool alive;
    struct p2m p2m;
    bool one_group; /* since it was made or reset */
    bool recolours; /* a step of it is under way */
    uint64_t ballooned, breaks;
    struct share_scan scan[2];
    struct sample sample;
    struct page page[PAGES];
    struct translation tlb[VCPUS][PAGES];
} vms[VMS];

/* Devices at work. */
static struct pin {
    struct vm *vm;
    unsigned page;
    mfn_t mfn;
    bool write, kept; /* kept: the page is no more */
} pins[24];
static unsigned pin_count;

static const struct pt_format *format;
static uint64_t core;
static unsigned flushing;
static struct {
    uint64_t pins, kept, placed, interrupted, shared, breaks, no_memory, resets, nested, most_shared, zeros,
        failed, refused, moved;
} happened;

static unsigned number(const struct vm *vm)
{
    return (unsigned)(vm - vms) + 1;
}

static uint64_t entry_of(struct vm *vm, unsigned i)
{
    unsigned level;

    return *pt_find(vm->p2m.format, vm->p2m.root, FIRST_GFN + i, &level);
}

/* The same, or what a sample has taken from there. */
static uint64_t entry_behind(struct vm *vm, unsigned i)
{
    const uint64_t entry = entry_of(vm, i);

    return p2m_entry_type(format, entry) == P2M_SAMPLED ? sample_behind(&vm->p2m, FIRST_GFN + i, entry)
                                                        : entry;
}

/* ---- guests ---- */

static uint64_t *through(const struct translation *t)
{
    return mfn_to_virt(t->mfn);
}

static void check_page(struct vm *vm, unsigned i, const uint64_t *words, const char *how)
{
    const size_t differ = memcmp(words, vm->page[i].word, PAGE_BYTES) != 0;

    check(!differ, "VM %u, page %u is not what was written there, %s", number(vm), i, how);
}

/* The page became present: zeros, whatever it was. */
static void touched(struct vm *vm, unsigned i)
{
    struct page *p = &vm->page[i];

    if (p->present) return;
    memset(p->word, 0, PAGE_BYTES);
    vm->ballooned -= p->ballooned;
    p->ballooned = false;
    p->present = true;
}

/* Where a vCPU finds the page, NULL when there is no memory. */
static struct translation *translate(struct vm *vm, unsigned vcpu, unsigned i, bool write)
{
    struct translation *t = &vm->tlb[vcpu][i];

    if (t->known && (t->writable || !write)) return t;
    for (unsigned tries = 0;; tries++) {
        const uint64_t entry = entry_of(vm, i);
        if (pt_present(format, entry) && (!write || entry & format->write)) {
            *t = (struct translation){p2m_entry_mfn(format, entry), true, (entry & format->write) != 0};
            return t;
        }
        check(tries < 5, "VM %u, page %u: touching does not help", number(vm), i);
        const enum p2m_touch got = p2m_touch(&vm->p2m, FIRST_GFN + i, write);
        check(got != P2M_TOUCH_HOLE, "VM %u, page %u is a hole", number(vm), i);
        if (got == P2M_TOUCH_NO_MEMORY) {
            happened.no_memory++;
            return NULL;
        }
        touched(vm, i);
    }
}

static void guest_read(struct vm *vm, unsigned i)
{
    struct translation *t = translate(vm, (unsigned)random_below(VCPUS), i, false);

    if (t) check_page(vm, i, through(t), "reads a guest");
}

static void fill(uint64_t *words, uint64_t kind)
{
    for (unsigned w = 0; w < WORDS; w++) words[w] = kind ? kind * 0x9e3779b97f4a7c15 + w : 0;
}

static void guest_write(struct vm *vm, unsigned i)
{
    struct translation *t = translate(vm, (unsigned)random_below(VCPUS), i, true);
    const uint64_t place = random_below(WORDS);

    if (!t) return;
    if (random_below(2))
        fill(vm->page[i].word, random_below(KINDS));
    else
        vm->page[i].word[place] = random_below(2);
    memcpy(through(t), vm->page[i].word, PAGE_BYTES);
    for (unsigned v = 0; v < VCPUS; v++) {
        if (vm->tlb[v][i].known) check_page(vm, i, through(&vm->tlb[v][i]), "reads another vCPU");
    }
}

static struct vm *random_vm(void)
{
    for (;;) {
        struct vm *vm = &vms[random_below(VMS)];
        if (vm->alive) return vm;
    }
}

/* Some pages are used more than others, by several vCPUs while something happens to them; and
 * all want one that moves just now. */
static struct vm *moving_vm;
static unsigned moving_page;

static void guest_step(void)
{
    const bool there = moving_vm && moving_vm->alive && random_below(2);
    struct vm *vm = there ? moving_vm : random_vm();
    const unsigned i = there ? moving_page : (unsigned)random_below(random_below(2) ? PAGES : 8);

    if (vm->page[i].leaving && !vm->tlb[0][i].known) return;
    if (vm->page[i].leaving)
        check_page(vm, i, through(&vm->tlb[0][i]), "before it is forgotten where it was");
    else if (random_below(3))
        guest_read(vm, i);
    else
        guest_write(vm, i);
}

static void on_flush(struct p2m *p2m);

/* ---- devices and drivers ---- */

static void device(struct vm *vm)
{
    const unsigned i = (unsigned)random_below(PAGES), at = (unsigned)random_below(WORDS);
    const gpa_t gpa = (gpa_t)(FIRST_GFN + i) << PAGE_SHIFT;
    uint64_t words[WORDS], was;
    enum p2m_touch got;

    if (vm->page[i].leaving) return;
    switch (random_below(3)) {
    case 0:
        got = p2m_read(&vm->p2m, gpa, words, PAGE_BYTES);
        if (got != P2M_TOUCH_OK) break;
        touched(vm, i);
        check_page(vm, i, words, "reads a device");
        break;
    case 1:
        fill(words, random_below(KINDS));
        got = p2m_write(&vm->p2m, gpa, words, PAGE_BYTES);
        if (got != P2M_TOUCH_OK) break;
        touched(vm, i);
        memcpy(vm->page[i].word, words, PAGE_BYTES);
        break;
    default: {
        const uint64_t old = random_below(2), value = random_below(2);
        got = p2m_cmpxchg(&vm->p2m, gpa + 8 * at, 8, old, value, &was);
        if (got != P2M_TOUCH_OK) break;
        touched(vm, i);
        check(was == vm->page[i].word[at], "VM %u, page %u: cmpxchg finds another word", number(vm), i);
        if (was == old) vm->page[i].word[at] = value;
    }
    }
    check(got != P2M_TOUCH_HOLE, "a device finds a hole");
}

static void pin(struct vm *vm)
{
    struct pin pin = {.vm = vm, .page = (unsigned)random_below(PAGES), .write = random_below(2)};
    struct page *p = &vm->page[pin.page];

    if (p->leaving || pin_count == sizeof(pins) / sizeof(*pins)) return;
    const enum p2m_touch got = p2m_pin(&vm->p2m, FIRST_GFN + pin.page, pin.write, &pin.mfn);
    check(got != P2M_TOUCH_HOLE, "a pin finds a hole");
    if (got != P2M_TOUCH_OK) return;
    touched(vm, pin.page);
    check(!pin.write || pin.mfn != MFN_NONE, "a page to be written to was left shared");
    if (pin.mfn == MFN_NONE) return;
    p->pinned++;
    pins[pin_count++] = pin;
    happened.pins++;
}

/* A device reads or writes; or it is done. */
static void pinned_step(void)
{
    const uint64_t what = random_below(12);
    struct pin *pin = &pins[random_below(pin_count + 1)];

    if (pin == &pins[pin_count]) return;
    struct page *p = &pin->vm->page[pin->page];
    uint64_t *words = mfn_to_virt(pin->mfn), at = random_below(WORDS);
    if (what == 0) {
        if (!pin->kept) p->pinned--;
        p2m_unpin(pin->kept ? NULL : &pin->vm->p2m, FIRST_GFN + pin->page, pin->mfn);
        *pin = pins[--pin_count];
    } else if (pin->kept) {
        words[at] = random_below(UINT64_MAX); /* nobody's */
    } else if (pin->write) {
        words[at] = p->word[at] = random_below(2);
    } else {
        check_page(pin->vm, pin->page, words, "reads a device by itself");
    }
}

static void keep_pins(struct vm *vm)
{
    for (unsigned i = 0; i < pin_count; i++) {
        if (pins[i].vm != vm) continue;
        vm->page[pins[i].page].pinned = 0;
        happened.kept += !pins[i].kept;
        pins[i].kept = true;
    }
}

/* Some pages get frames of the lower, or the upper, half. */
static void move(struct vm *vm)
{
    static gfn_t cursors[VMS];
    const mfn_t from = random_below(2) ? FRAMES / 2 : 0, other = FRAMES / 2 - from;
    const uint32_t want = 1 + (uint32_t)random_below(P2M_MOVE_MAX);
    enum p2m_move outcome[P2M_MOVE_MAX];
    gfn_t gfns[P2M_MOVE_MAX];
    uint32_t count = want, looked;

    if (random_below(2))
        count = p2m_find_within(&vm->p2m, &cursors[vm - vms], other, other + FRAMES / 2, random_below(2),
                                gfns, want, &looked);
    else
        for (uint32_t i = 0; i < want; i++) gfns[i] = FIRST_GFN + random_below(PAGES);
    for (uint32_t i = 1; i < count; i++) {
        if (gfns[i] <= gfns[i - 1]) gfns[i] = gfns[i - 1] + 1; /* all different; the last may be no RAM */
    }
    moving_vm = count ? vm : NULL;
    if (count) moving_page = (unsigned)(gfns[random_below(count)] - FIRST_GFN) % PAGES;
    p2m_move(&vm->p2m, gfns, count, from, from + FRAMES / 2, outcome);
    moving_vm = NULL;
    for (uint32_t i = 0; i < count; i++) {
        happened.placed += outcome[i] == P2M_MOVE_DONE;
        happened.interrupted += outcome[i] == P2M_MOVE_BUSY;
    }
}

static void sample(struct vm *vm)
{
    if (random_below(4) == 0) sample_ask(&vm->p2m, random_below(100), TITHE_SAMPLE_UNMAP, UINT64_MAX);
    (void)sample_step(&vm->p2m, 0, 0);
}

static bool page_given(struct vm *vm, unsigned i)
{
    struct page *p = &vm->page[i];

    if (p->pinned) return false;
    p->leaving = true;
    if (p->ballooned) return false;
    p->ballooned = true;
    p->present = false;
    vm->ballooned++;
    return true;
}

/* What a driver gives away its guest no longer looks at. */
static void balloon(struct vm *vm)
{
    FLUSH_BATCH(batch, &vm->p2m);
    uint32_t gfns[100];
    const size_t count = random_below(10) ? random_below(12) : random_below(100);
    size_t given = 0;

    for (size_t n = 0; n < count; n++) {
        gfns[n] = FIRST_GFN + (uint32_t)random_below(PAGES);
        given += page_given(vm, gfns[n] - FIRST_GFN);
    }
    check(p2m_balloon_pages(&vm->p2m, gfns, count, &batch) == given, "another number of pages given");
    flush_discharge(&batch);
    for (unsigned i = 0; i < PAGES; i++) vm->page[i].leaving = false;
}

static void discard(struct vm *vm)
{
    FLUSH_BATCH(batch, &vm->p2m);
    const unsigned first = (unsigned)random_below(PAGES), count = (unsigned)random_below(PAGES - first + 1);
    uint64_t had = 0;

    for (unsigned i = first; i < first + count; i++) {
        struct page *p = &vm->page[i];
        if (p->pinned) continue;
        had += p->present;
        p->leaving = true;
        p->present = false;
    }
    check(p2m_discard(&vm->p2m, FIRST_GFN + first, count, &batch) == had,
          "another number of pages discarded");
    flush_discharge(&batch);
    for (unsigned i = 0; i < PAGES; i++) vm->page[i].leaving = false;
}

static void unballoon(struct vm *vm)
{
    const unsigned i = (unsigned)random_below(PAGES);

    check(p2m_unballoon(&vm->p2m, FIRST_GFN + i) == vm->page[i].ballooned, "unballoon");
    vm->ballooned -= vm->page[i].ballooned;
    vm->page[i].ballooned = false;
}

static void pop_all(struct vm *vm)
{
    check(p2m_pop_all(&vm->p2m) == vm->ballooned, "pop_all");
    for (unsigned i = 0; i < PAGES; i++) vm->page[i].ballooned = false;
    vm->ballooned = 0;
}

static void forget(struct vm *vm)
{
    for (unsigned i = 0; i < PAGES; i++) vm->page[i].present = vm->page[i].ballooned = false;
    memset(vm->tlb, 0, sizeof(vm->tlb));
    keep_pins(vm);
    vm->ballooned = 0;
    vm->one_group = true;
    happened.resets++;
}

static void destroy(struct vm *vm)
{
    vm->alive = false;
    forget(vm);
    happened.breaks += vm->p2m.sharing.breaks;
    happened.shared += vm->p2m.sharing.hits + vm->p2m.sharing.hint_hits;
    happened.zeros += vm->p2m.sharing.zeros;
    happened.moved += vm->p2m.colouring.moved;
    p2m_destroy(&vm->p2m);
    check(p2m_hold(vm->p2m.owner) == NULL, "a map that is gone is found");
}

static void create(struct vm *vm)
{
    const struct p2m_range ram = {FIRST_GFN, PAGES};

    if (vm->alive || !p2m_create(&vm->p2m, format, (uint16_t)number(vm), &ram, 1)) return;
    memset(vm->scan, 0, sizeof(vm->scan));
    vm->sample = (struct sample){.random = random_below(UINT64_MAX)};
    vm->p2m.sample = &vm->sample;
    vm->alive = true;
    vm->one_group = true;
    vm->p2m.flush = on_flush;
    if (random_below(4)) share_set_group(&vm->p2m, (uint8_t)(1 + random_below(2)));
}

static void reset(struct vm *vm)
{
    vm->alive = false;
    forget(vm);
    p2m_reset(&vm->p2m);
    vm->alive = true;
}

static void set_group(struct vm *vm)
{
    share_set_group(&vm->p2m, (uint8_t)random_below(3));
    vm->one_group = vm->p2m.sharing.pages == 0;
}

static void scan(struct vm *vm)
{
    struct share_scan *s = &vm->scan[random_below(2)];

    check(p2m_hold(vm->p2m.owner) == &vm->p2m, "the map is not found");
    if (random_below(64) == 0) s->order = (enum share_order)random_below(SHARE_ORDERS);
    (void)share_scan(&vm->p2m, s, 1 + (uint32_t)random_below(SHARE_SCAN_MAX + 1));
    p2m_release(&vm->p2m);
}

static void set_colours(struct vm *vm)
{
    const uint32_t mask = (uint32_t)random_below(1u << COLOURS);

    p2m_set_colours(&vm->p2m, mask, random_below(2) ? PAGES : random_below(PAGES));
}

static void recolour(struct vm *vm)
{
    if (vm->recolours) return;
    vm->recolours = true;
    const bool more = p2m_recolour_step(&vm->p2m);
    check(more == (vm->p2m.colouring.left != 0), "more to be moved, or not");
    vm->recolours = false;
}

/* ---- what goes on in the middle of a flush ---- */

static void in_between(void)
{
    if (flushing > 3) return;
    for (uint64_t n = random_below(6); n; n--) {
        const uint64_t what = random_below(64);
        if (what == 0)
            set_group(random_vm());
        else if (what == 1)
            set_colours(random_vm());
        else if (what == 2)
            recolour(random_vm());
        else if (what < 5)
            scan(random_vm());
        else if (what < 10)
            device(random_vm());
        else if (what < 12)
            sample(random_vm());
        else if (what < 14)
            pinned_step();
        else if (what == 14)
            move(random_vm());
        else
            guest_step();
        happened.nested++;
    }
}

static void on_flush(struct p2m *p2m)
{
    struct vm *vm = CONTAINER_OF(p2m, struct vm, p2m);

    check(host_env_locks() == 0, "flush with locks held");
    if (!vm->alive) return; /* is being reset or taken down: nobody runs */
    flushing++;
    in_between();
    memset(vm->tlb, 0, sizeof(vm->tlb));
    in_between();
    flushing--;
}

/* ---- comparing ---- */

static void compare(void)
{
    static uint64_t entries[FRAMES];
    struct p2m *maps[VMS];
    struct tithe_ledger ledger;
    struct share_counts counts;
    uint64_t shared = 0, frames = 0;
    size_t n = 0;

    memset(entries, 0, sizeof(entries));
    for (struct vm *vm = vms; vm < vms + VMS; vm++) {
        if (!vm->alive) continue;
        maps[n++] = &vm->p2m;
        check(vm->p2m.ballooned_pages == vm->ballooned, "ballooned pages");
        for (unsigned i = 0; i < PAGES; i++) {
            const uint64_t entry = entry_behind(vm, i);
            const mfn_t mfn = p2m_entry_mfn(format, entry);
            check(pt_present(format, entry) == vm->page[i].present, "VM %u, page %u: present or not",
                  number(vm), i);
            if (!pt_present(format, entry)) continue;
            check_page(vm, i, mfn_to_virt(mfn), "says its entry");
            check(++entries[mfn] == 1 || frame_state(mfn) == FRAME_SHARED, "frame 0x%lx is mapped twice",
                  mfn);
            check(!(entry & PT_SHARED) == (frame_state(mfn) != FRAME_SHARED), "frame 0x%lx shared or not",
                  mfn);
            check(!(entry & PT_SHARED) || !(entry & format->write), "frame 0x%lx is writable", mfn);
            check(!(entry & PT_PINNED) == !vm->page[i].pinned, "frame 0x%lx pinned or not", mfn);
            shared += (entry & PT_SHARED) != 0;
            check(!(entry & PT_SHARED) || !vm->one_group || frame_owner(mfn) == share_key(&vm->p2m),
                  "VM %u, page %u is shared across groups", number(vm), i);
        }
    }
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
    if (shared - frames > happened.most_shared) happened.most_shared = shared - frames;
    ledger_check(maps, n, &ledger);
    check(ledger.differences == 0, "ledger: %s", ledger.first);
    ledger_check(maps, n, &ledger);
    check(ledger.differences == 0, "ledger, again: %s", ledger.first);
}

static void one_step(void)
{
    const uint64_t what = random_below(10000);
    struct vm *vm = random_vm();

    host_env_cpu((uint32_t)random_below(CPUS));
    if (what < 6000)
        guest_step();
    else if (what < 6500)
        device(vm);
    else if (what < 6800)
        pin(vm);
    else if (what < 7000)
        pinned_step();
    else if (what < 7150)
        balloon(vm);
    else if (what < 7300)
        unballoon(vm);
    else if (what < 7500)
        sample(vm);
    else if (what < 7520)
        discard(vm);
    else if (what < 7560)
        set_colours(vm);
    else if (what < 8000)
        recolour(vm);
    else if (what < 8100)
        move(vm);
    else if (what < 9900)
        scan(vm);
    else if (what < 9940)
        create(&vms[random_below(VMS)]);
    else if (what < 9960)
        set_group(vm);
    else if (what < 9970)
        pop_all(vm);
    else if (what < 9980)
        reset(vm);
    else if (what < 9990 && vm != vms)
        destroy(vm);
    else
        frames_set_reserve(random_below(60));
    check(host_env_locks() == 0, "locks held");
}

static void run(const struct pt_format *f, unsigned hash_bits, uint32_t count_max, uint64_t steps)
{
    struct frame_counts c;
    struct share_counts counts;

    format = f;
    random_begin();
    memset(vms, 0, sizeof(vms));
    memset(&happened, 0, sizeof(happened));
    host_env_reset(FRAMES);
    frames_init(direct_base, FRAMES);
    frames_set_colour_count(COLOURS);
    core = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_add(0, core, FRAME_CORE);
    frames_add(core, FRAMES - core, FRAME_FREE);
    share_hash_bits(hash_bits);
    share.count_max = count_max;
    for (struct vm *vm = vms; vm < vms + VMS; vm++) create(vm);
    for (step = 1; step <= steps; step++) {
        one_step();
        if (step % 512 == 0 || step == steps) compare();
    }
    share_counts(&counts);
    for (struct vm *vm = vms; vm < vms + VMS; vm++) {
        if (vm->alive) destroy(vm);
    }
    while (pin_count) pinned_step();
    compare();
    frames_counts(&c);
    check(c.free == FRAMES - core && c.shared == 0, "%lu frames are free at the end", c.free);
    printf("# %lu pins, %lu of them outlived the page, %lu pages moved, %lu not, %lu shared, at most %lu "
           "saved, %lu breaks, %lu times "
           "no memory, %lu accesses during flushes, "
           "%lu stale hints, %lu "
           "compares failed, %lu refused, %lu recoloured\n",
           happened.pins, happened.kept, happened.placed, happened.interrupted, happened.shared,
           happened.most_shared, happened.breaks, happened.no_memory, happened.nested, counts.stale_hints,
           counts.compares_failed, counts.refused, happened.moved);
    check(happened.moved && happened.kept > 5 && happened.placed > 1000 && happened.interrupted &&
              happened.pins > 100 && happened.shared && happened.breaks && happened.no_memory &&
              happened.resets && happened.nested && happened.zeros && counts.stale_hints &&
              happened.most_shared > 50,
          "too little happened");
    check(hash_bits == 64 || counts.compares_failed, "no collisions");
}

int main(void)
{
    static const struct {
        unsigned hash_bits;
        uint32_t count_max;
        const char *name;
    } runs[] = {{64, COUNT_MAX, "hashes that tell pages apart"},
                {64, 3, "counts that overflow"},
                {2, COUNT_MAX, "hashes of 2 bits"},
                {1, 1, "hashes of 1 bit, counts that overflow at 1"}};
    const char *const wanted_seed = getenv("MEM_SEED"), *const wanted_steps = getenv("MEM_STEPS");
    const uint64_t steps = wanted_steps ? strtoull(wanted_steps, NULL, 0) : 30000;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%lu\n", ARRAY_LEN(runs));
    for (unsigned i = 0; i < ARRAY_LEN(runs); i++) {
        const struct pt_format *f = i & 1 ? &pt_format_npt : &pt_format_ept;
        seed = (wanted_seed ? strtoull(wanted_seed, NULL, 0) : 5) + i;
        printf("# %s: seed %lu, %lu steps\n", f->name, seed, steps);
        run(f, runs[i].hash_bits, runs[i].count_max, steps);
        printf("ok %u - %s: everybody finds what he wrote\n", i + 1, runs[i].name);
    }
    host_env_end();
    return 0;
}
