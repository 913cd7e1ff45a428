/* SPDX-License-Identifier: MIT
 *
 * Drivers that give pages away and take them back, devices that the core plays, and devices of the host that move data by themselves.
 */
#include "verbs.h"

#include "mem/origin.h"

#include <string.h>

static struct pin {
    struct guest *guest;
    unsigned page;
    mfn_t mfn;
    bool write, kept; /* kept: the page is no more */
} table[32];
static unsigned count;

/* ---- what the core reads and writes for a guest ---- */

static void read_page(struct guest *g, unsigned page)
{
    uint64_t words[WORDS];

    if (!counted(g, p2m_read(&g->vm.p2m, gpa_of(g, page), words, PAGE_BYTES))) return;
    touched(g, page);
    check_page(g, page, words, "reads a device");
}

static void write_bytes(struct guest *g, unsigned page)
{
    const bool whole = random_below(2);
    const size_t bytes = whole ? PAGE_BYTES : 1ull << random_below(5);
    const size_t at = whole ? 0 : random_below(PAGE_BYTES - bytes + 1);
    uint64_t words[WORDS] = {random_below(3), 1};

    if (whole) some_contents(words);
    if (!counted(g, p2m_write(&g->vm.p2m, gpa_of(g, page) + at, words, bytes))) return;
    touched(g, page);
    changed(g, page, at, words, bytes);
}

static void swap_word(struct guest *g, unsigned page)
{
    const size_t bytes = random_below(2) ? 8 : 4, at = random_below(PAGE_BYTES / bytes) * bytes;
    const uint64_t old = random_below(2), value = random_below(2);
    uint64_t was, is = 0;

    if (!counted(g, p2m_cmpxchg(&g->vm.p2m, gpa_of(g, page) + at, bytes, old, value, &was))) return;
    touched(g, page);
    memcpy(&is, (uint8_t *)g->page[page].word + at, bytes);
    check(was == is, "VM %u, gfn 0x%lx: cmpxchg finds 0x%lx, not 0x%lx", g->vm.slot, gfn_of(g, page), was,
          is);
    if (was == old) changed(g, page, at, &value, bytes);
}

/* Nothing is where no RAM is, whatever is asked of it. */
static void use_hole(struct guest *g)
{
    FLUSH_BATCH(batch, &g->vm.p2m);
    static const gfn_t holes[] = {0, FIRST_GFN - 1, HIGH_GFN - 1, HIGH_GFN + PAGES, 1ull << 35, ~0ull >> 12};
    const gfn_t gfn = holes[random_below(ARRAY_LEN(holes))];
    mfn_t mfn;

    check(p2m_touch(&g->vm.p2m, gfn, true) == P2M_TOUCH_HOLE && !p2m_is_ram(&g->vm.p2m, gfn), "no hole");
    check(p2m_pin(&g->vm.p2m, gfn, true, &mfn) == P2M_TOUCH_HOLE, "a hole is pinned");
    check(p2m_balloon(&g->vm.p2m, gfn, &batch) == P2M_GIVE_HOLE && !p2m_unballoon(&g->vm.p2m, gfn),
          "a hole is given");
    check(p2m_discard(&g->vm.p2m, gfn, 1, &batch) == 0, "a hole is discarded");
    flush_discharge(&batch);
}

void device_step(struct guest *g)
{
    const unsigned page = random_page(g);

    if (!runs(g) || g->page[page].leaving) return;
    g->busy++;
    const uint64_t what = random_below(64);
    if (what < 25)
        read_page(g, page);
    else if (what < 50)
        write_bytes(g, page);
    else if (what < 63)
        swap_word(g, page);
    else
        use_hole(g);
    g->busy--;
}

/* ---- what the balloon's driver does: under the device lock ---- */

/* Whether the page leaves; what its guest gives away it no longer looks at. */
static bool gives(struct guest *g, unsigned page)
{
    struct page *p = &g->page[page];

    if (p->pinned || p->leaving) return false;
    p->leaving = true;
    return true;
}

static void have_left(struct guest *g)
{
    for (unsigned i = 0; i < g->pages; i++) {
        if (g->page[i].leaving) emptied(g, i);
        g->page[i].leaving = false;
    }
}

static void inflate(struct guest *g)
{
    FLUSH_BATCH(batch, &g->vm.p2m);
    uint32_t gfns[80];
    const size_t many = random_below(10) ? random_below(12) : random_below(ARRAY_LEN(gfns));
    size_t should = 0, given = 0;

    for (size_t n = 0; n < many; n++) {
        const unsigned page = n && random_below(3) ? (page_of(g, gfns[n - 1]) + 1) % g->pages
                                                   : (unsigned)random_below(g->pages);
        gfns[n] = (uint32_t)gfn_of(g, page);
        if (!gives(g, page) || g->page[page].ballooned) continue;
        g->page[page].ballooned = true;
        should++;
    }
    if (random_below(2)) {
        given = p2m_balloon_pages(&g->vm.p2m, gfns, many, &batch);
    } else {
        for (size_t n = 0; n < many; n++) given += p2m_balloon(&g->vm.p2m, gfns[n], &batch) == P2M_GIVE_OK;
    }
    check(given == should, "VM %u: %lu pages given, not %lu", g->vm.slot, given, should);
    g->ballooned += given;
    flush_discharge(&batch);
    have_left(g);
}

static void deflate(struct guest *g)
{
    uint32_t gfns[12];
    const size_t many = random_below(ARRAY_LEN(gfns));
    size_t should = 0;

    for (size_t n = 0; n < many; n++) {
        const unsigned page = (unsigned)random_below(g->pages);
        gfns[n] = (uint32_t)gfn_of(g, page);
        should += g->page[page].ballooned;
        touched(g, page);
    }
    check(p2m_unballoon_pages(&g->vm.p2m, gfns, many) == should, "another number of pages taken");
}

/* Free page reporting. */
static void report(struct guest *g)
{
    FLUSH_BATCH(batch, &g->vm.p2m);
    const gfn_t first = gfn_of(g, (unsigned)random_below(g->pages)) - random_below(4);
    const uint64_t many = random_below(40);
    uint64_t most = 0;

    for (gfn_t gfn = first; gfn < first + many; gfn++) {
        if (page_of(g, gfn) < PAGES && !g->page[page_of(g, gfn)].ballooned) most += gives(g, page_of(g, gfn));
    }
    check(p2m_discard(&g->vm.p2m, first, many, &batch) <= most, "more pages discarded than there are");
    flush_discharge(&batch);
    have_left(g);
}

static void pop(struct guest *g)
{
    check(p2m_pop_all(&g->vm.p2m) == g->ballooned, "another number of pages popped");
    for (unsigned i = 0; i < g->pages; i++) g->page[i].ballooned = false;
    g->ballooned = 0;
}

void balloon_step(struct guest *g)
{
    if (!runs(g) || g->in_device) return;
    g->busy++;
    g->in_device = true;
    const uint64_t what = random_below(32);
    if (what < 14)
        inflate(g);
    else if (what < 24)
        deflate(g);
    else if (what < 31)
        report(g);
    else
        pop(g);
    g->in_device = false;
    g->busy--;
}

/* ---- devices that work by themselves ---- */

void pin_step(struct guest *g)
{
    struct pin pin = {.guest = g, .page = random_page(g), .write = random_below(2)};

    if (!runs(g) || g->in_device || g->page[pin.page].leaving || count > ARRAY_LEN(table) - 8) return;
    FLUSH_BATCH(batch, &g->vm.p2m);
    g->busy++;
    g->in_device = true;
    const bool ok = counted(g, p2m_pin(&g->vm.p2m, gfn_of(g, pin.page), pin.write, &pin.mfn));
    if (ok && pin.write)
        check(!origin_watch(&g->vm.p2m, gfn_of(g, pin.page), true, false, &batch), "watched");
    flush_discharge(&batch);
    g->in_device = false;
    g->busy--;
    if (!ok) return;
    touched(g, pin.page);
    check(!pin.write || pin.mfn != MFN_NONE, "a page to be written to was left shared");
    if (pin.mfn == MFN_NONE) return;
    check(count < ARRAY_LEN(table), "pins made meanwhile are too many");
    g->page[pin.page].pinned++;
    table[count++] = pin;
    happened.pins++;
}

/* One of them reads or writes; or it is done. */
void pinned_step(bool may_end)
{
    const uint64_t what = random_below(12);

    if (!count) return;
    struct pin *pin = &table[random_below(count)];
    struct guest *g = pin->guest;
    uint64_t *words = mfn_to_virt(pin->mfn), word = random_below(2);
    const size_t at = random_below(WORDS);
    if (what == 0) {
        if (!may_end) return;
        if (!pin->kept) g->page[pin->page].pinned--;
        p2m_unpin(pin->kept ? NULL : &g->vm.p2m, gfn_of(g, pin->page), pin->mfn);
        *pin = table[--count];
    } else if (pin->kept) {
        words[at] = random_below(UINT64_MAX); /* nobody's */
    } else if (pin->write) {
        words[at] = word;
        changed(g, pin->page, at * 8, &word, 8);
    } else {
        check_page(g, pin->page, words, "reads a device by itself");
    }
}

void keep_pins(const struct guest *g)
{
    for (unsigned i = 0; i < count; i++) {
        if (table[i].guest != g) continue;
        happened.kept += !table[i].kept;
        table[i].kept = true;
    }
}

unsigned pins(void)
{
    return count;
}
