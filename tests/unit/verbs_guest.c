/* SPDX-License-Identifier: MIT
 *
 * Guests: vCPUs that look at memory through TLBs, which forget nothing but at a flush, and the model of what they must find.
 */
#include "verbs.h"

#include "vm/vm_table.h"

#include <string.h>

struct guest guests[VMS];

struct guest *random_guest(void)
{
    const uint64_t from = random_below(VMS);

    for (unsigned i = 0; i < VMS; i++) {
        struct guest *g = &guests[(from + i) % VMS];
        if (has_map(g)) return g;
    }
    return NULL;
}

/* While a flush of some VM is under way: a page that its CPUs still know otherwise. */
static const struct guest *focus;
static unsigned focus_page;

unsigned random_page(const struct guest *g)
{
    if (g == focus && random_below(2)) return focus_page;
    return (unsigned)random_below(random_below(2) ? g->pages : 1 + g->pages / 16);
}

static uint64_t *slot_of(struct guest *g, unsigned page)
{
    unsigned level;

    return pt_find(g->vm.p2m.format, g->vm.p2m.root, gfn_of(g, page), &level);
}

uint64_t entry_of(struct guest *g, unsigned page)
{
    return pt_load(slot_of(g, page));
}

uint64_t entry_behind(struct guest *g, unsigned page)
{
    const uint64_t entry = entry_of(g, page);

    return p2m_entry_type(g->vm.p2m.format, entry) == P2M_SAMPLED
               ? sample_behind(&g->vm.p2m, gfn_of(g, page), entry)
               : entry;
}

void check_page(const struct guest *g, unsigned page, const void *words, const char *how)
{
    const uint64_t *is = words, *should = g->page[page].word;
    unsigned w = 0;

    if (memcmp(is, should, PAGE_BYTES) == 0) return;
    while (is[w] == should[w]) w++;
    check(false, "VM %u, gfn 0x%lx is not what was written there, %s: word %u is 0x%lx, not 0x%lx",
          g->vm.slot, gfn_of(g, page), how, w, is[w], should[w]);
}

void some_contents(uint64_t words[WORDS])
{
    static const unsigned noisy[] = {0, 1, 20, 90, 180, 300, WORDS};
    const uint64_t kind = random_below(ARRAY_LEN(noisy));
    const uint64_t salt = random_below(2) ? random_below(3) : 3 + step / 512; /* or there were nothing new */

    memset(words, 0, PAGE_BYTES);
    for (unsigned w = 0; w < noisy[kind]; w++) words[w] = (w + 1) * (kind + salt * 7) * 0x9e3779b97f4a7c15;
}

void touched(struct guest *g, unsigned page)
{
    g->ballooned -= g->page[page].ballooned;
    g->page[page].ballooned = false;
}

void changed(struct guest *g, unsigned page, size_t at, const void *bytes, size_t count)
{
    memcpy((uint8_t *)g->page[page].word + at, bytes, count);
    g->page[page].changes++;
}

void emptied(struct guest *g, unsigned page)
{
    memset(g->page[page].word, 0, PAGE_BYTES);
    g->page[page].changes++;
    g->page[page].given++;
}

bool counted(struct guest *g, enum p2m_touch touch)
{
    check(touch != P2M_TOUCH_HOLE, "VM %u: a page is a hole", g->vm.slot);
    happened.waits += touch == P2M_TOUCH_WAIT;
    if (touch == P2M_TOUCH_NO_MEMORY) {
        happened.no_memory++;
        vm_set_add(&vms_without_memory, &g->vm);
    }
    return touch == P2M_TOUCH_OK;
}

/* ---- vCPUs ---- */

/* Where a vCPU finds the page, having walked the tables as the CPU does (SDM 3C 28.3.3.2, 28.3.5; APM 2 15.25.7); NULL: not now. */
static struct translation *translate(struct guest *g, unsigned vcpu, unsigned page, bool write)
{
    const struct pt_format *f = g->vm.p2m.format;
    struct translation *t = &g->tlb[vcpu][page];

    if (t->known && (!write || t->dirty)) return t;
    if (t->known && random_below(4) == 0) t->known = false; /* CPUs may forget at any time */
    for (unsigned tries = 0;; tries++) {
        uint64_t *slot = slot_of(g, page);
        const uint64_t entry = pt_load(slot);
        if (pt_present(f, entry) && (!write || entry & f->write)) {
            const bool ad = g->vm.sample.accessed, writable = (entry & f->write) != 0;
            if (ad) *slot |= f->accessed | (write ? f->dirty : 0);
            *t = (struct translation){p2m_entry_mfn(f, entry), true, writable,
                                      writable && (!ad || *slot & f->dirty)};
            return t;
        }
        check(tries < 6, "VM %u, gfn 0x%lx: touching does not help", g->vm.slot, gfn_of(g, page));
        if (!counted(g, p2m_touch(&g->vm.p2m, gfn_of(g, page), write))) return NULL;
        touched(g, page);
    }
}

static void *through(const struct translation *t)
{
    return mfn_to_virt(t->mfn);
}

static void guest_read(struct guest *g, unsigned vcpu, unsigned page)
{
    const struct translation *t = translate(g, vcpu, page, false);

    if (t) check_page(g, page, through(t), "reads a guest");
}

static void guest_write(struct guest *g, unsigned vcpu, unsigned page)
{
    const struct translation *t = translate(g, vcpu, page, true);
    uint64_t words[WORDS], kind = random_below(4);

    if (!t) return;
    if (kind == 0) {
        some_contents(words);
        changed(g, page, 0, words, PAGE_BYTES);
    } else { /* a word, or some bytes */
        const size_t bytes = kind == 1 ? 8 : 1 + random_below(12), at = random_below(PAGE_BYTES / 16) * 8;
        words[0] = random_below(2);
        words[1] = random_below(3);
        changed(g, page, at, words, bytes);
    }
    memcpy(through(t), g->page[page].word, PAGE_BYTES);
    for (unsigned v = 0; v < VCPUS; v++) {
        if (g->tlb[v][page].known) check_page(g, page, through(&g->tlb[v][page]), "reads another vCPU");
    }
}

/* A locked instruction: what it finds and what it leaves are one. */
static void guest_atomic(struct guest *g, unsigned vcpu, unsigned page)
{
    const struct translation *t = translate(g, vcpu, page, true);
    const size_t at = random_below(WORDS);

    if (!t) return;
    const uint64_t was = __atomic_fetch_xor((uint64_t *)through(t) + at, 1, __ATOMIC_SEQ_CST), now = was ^ 1;
    check(was == g->page[page].word[at], "VM %u, gfn 0x%lx: an atomic operation finds 0x%lx, not 0x%lx",
          g->vm.slot, gfn_of(g, page), was, g->page[page].word[at]);
    changed(g, page, at * 8, &now, 8);
}

/* The core emulates an instruction of two operands: what it has found once stays. */
static void emulated(struct guest *g, unsigned page, unsigned other)
{
    const unsigned given = g->page[page].given;
    uint64_t words[WORDS];

    (void)vm_steady(&g->vm);
    if (counted(g, p2m_touch(&g->vm.p2m, gfn_of(g, page), false))) {
        touched(g, page);
        for (uint64_t n = random_below(4); n; n--) boot_step(); /* others go on */
        if (counted(g, p2m_touch(&g->vm.p2m, gfn_of(g, other), true))) touched(g, other);
        const enum p2m_touch again = p2m_read(&g->vm.p2m, gpa_of(g, page), words, PAGE_BYTES);
        check(again == P2M_TOUCH_OK || g->page[page].given != given,
              "VM %u, gfn 0x%lx is gone in the middle of an instruction", g->vm.slot, gfn_of(g, page));
        if (again == P2M_TOUCH_OK) {
            touched(g, page);
            check_page(g, page, words, "reads the core");
        }
    }
    vm_unsteady(&g->vm);
}

void guest_step(void)
{
    struct guest *g = focus && random_below(3) == 0 ? &guests[focus - guests] : &guests[random_below(VMS)];

    if (!runs(g)) return;
    const unsigned page = random_page(g), vcpu = (unsigned)random_below(VCPUS);
    const struct translation *t = &g->tlb[vcpu][page];
    if (g->page[page].leaving) {
        if (t->known) check_page(g, page, through(t), "before it is forgotten where it was");
        return;
    }
    g->busy++;
    const uint64_t what = random_below(48);
    if (what < 28)
        guest_read(g, vcpu, page);
    else if (what < 44)
        guest_write(g, vcpu, page);
    else if (what < 47)
        guest_atomic(g, vcpu, page);
    else {
        const unsigned other = random_page(g);
        if (!g->page[other].leaving) emulated(g, page, other);
    }
    g->busy--;
}

/* ---- flushes ---- */

static unsigned flushing;

bool is_nested(void)
{
    return flushing != 0;
}

/* Whether a CPU still may do what the tables no longer let it. */
static bool is_stale(struct guest *g, unsigned page)
{
    const struct pt_format *f = g->vm.p2m.format;
    const uint64_t entry = entry_of(g, page);

    for (unsigned v = 0; v < VCPUS; v++) {
        const struct translation *t = &g->tlb[v][page];
        if (t->known && (!pt_present(f, entry) || p2m_entry_mfn(f, entry) != t->mfn ||
                         (t->writable && !(entry & f->write))))
            return true;
    }
    return false;
}

/* A page that the flush is for, if it is for one that somebody knows. */
static void choose_focus(struct guest *g)
{
    const unsigned from = (unsigned)random_below(g->pages);

    focus = NULL;
    for (unsigned i = 0; i < g->pages && !focus; i++) {
        focus_page = (from + i) % g->pages;
        if (is_stale(g, focus_page)) focus = g;
    }
}

void on_flush(struct p2m *p2m)
{
    struct guest *g = guest_of(p2m);

    check(host_env_locks() == 0, "a flush with locks held");
    if (++flushing <= 3) {
        choose_focus(g);
        in_between();
    }
    memset(g->tlb, 0, sizeof g->tlb);
    if (flushing <= 3) in_between();
    flushing--;
    focus = NULL;
}

void check_tlbs(const struct guest *g)
{
    const struct pt_format *f = g->vm.p2m.format;

    for (unsigned v = 0; v < VCPUS; v++) {
        for (unsigned i = 0; i < g->pages; i++) {
            const struct translation *t = &g->tlb[v][i];
            if (!t->known) continue;
            const uint64_t entry = entry_of(&guests[g - guests], i);
            const bool ad = g->vm.sample.accessed;
            check(pt_present(f, entry) && p2m_entry_mfn(f, entry) == t->mfn &&
                      (!t->writable || entry & f->write) && (!ad || entry & f->accessed) &&
                      (!ad || !t->dirty || entry & f->dirty),
                  "VM %u, gfn 0x%lx: the entry has changed to 0x%lx, and was not flushed for", g->vm.slot,
                  gfn_of(g, i), entry);
        }
    }
}

/* ---- the end ---- */

void read_everything(struct guest *g)
{
    uint64_t words[WORDS];

    for (unsigned i = 0; i < g->pages; i++) {
        for (unsigned tries = 0; has_map(g); tries++) {
            const enum p2m_touch got = p2m_read(&g->vm.p2m, gpa_of(g, i), words, PAGE_BYTES);
            if (counted(g, got)) {
                touched(g, i);
                check_page(g, i, words, "at the end");
                break;
            }
            if (faults.gone && tries > 20) break;
            check(tries < 400, "VM %u, gfn 0x%lx cannot be had: %d", g->vm.slot, gfn_of(g, i), (int)got);
            boot_step();
            while (disk_step(true)) continue;
        }
    }
}
