/* SPDX-License-Identifier: MIT
 *
 * Working-set sampling against an exact model, under a guest with a TLB: what it has cached it uses without setting an accessed bit
 * or faulting, so that a flush left out shows. The sampled map is touched, ballooned and reset meanwhile.
 */
#include "host_env.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/p2m_tables.h"
#include "mem/permute.h"
#include "mem/sample.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FRAMES 2048u
#define LOW    0x200u /* pages from 0 */
#define HIGH   0x900u /* first gfn of the rest, above a hole */
#define PAGES  (LOW + 0x180u)
#define LIMIT  (HIGH + 0x180u)
#define OWNER  3u

static struct p2m p2m;
static struct sample sample;

/* ---- the model ---- */

static struct page {
    bool ram;
    bool cached;   /* in the guest's TLB */
    bool in;       /* in the sample */
    bool away;     /* its entry has been taken away */
    bool told;     /* a fault or a look has told that it was touched */
    bool accessed; /* by the guest, since it is present or its bit was cleared */
    uint64_t word; /* what is in it; 0: nothing, or it was never written */
} pages[LIMIT];

static uint64_t rng = 1;

static uint64_t below(uint64_t n)
{
    rng = permute_mix(rng);
    return rng % n;
}

static gfn_t any_page(void)
{
    /* A small working set, so that samples see all kinds. */
    const uint64_t i = below(4) ? below(150) : below(PAGES);

    return i < LOW ? i : HIGH + i - LOW;
}

static void forget_cached(struct p2m *map)
{
    assert_ptr_equal(map, &p2m);
    assert_int_equal(host_env_locks(), 0);
    for (gfn_t g = 0; g < LIMIT; g++) pages[g].cached = false;
}

static uint64_t entry_of(gfn_t gfn)
{
    unsigned level;

    return pt_load(p2m_find(&p2m, gfn, &level));
}

static bool present(gfn_t gfn)
{
    return pt_present(p2m.format, entry_of(gfn));
}

static uint64_t *word_of(gfn_t gfn)
{
    return mfn_to_virt(p2m_entry_mfn(p2m.format, entry_of(gfn)));
}

static void tell(struct page *p)
{
    p->told |= p->away;
    p->away = false;
}

/* ---- what happens ---- */

static void guest_access(gfn_t gfn)
{
    struct page *p = &pages[gfn];
    unsigned level;

    p->accessed = true;
    if (p->cached) { /* neither a bit nor a fault */
        tell(p);
        return;
    }
    assert_int_equal(p2m_touch(&p2m, gfn, true), P2M_TOUCH_OK);
    tell(p);
    uint64_t *slot = p2m_find(&p2m, gfn, &level);
    __atomic_fetch_or(slot, p2m.format->accessed, __ATOMIC_RELAXED);
    p->cached = true;
    assert_int_equal(*word_of(gfn), p->word);
    p->word = below(UINT64_MAX);
    *word_of(gfn) = p->word;
}

static void device_access(gfn_t gfn)
{
    struct page *p = &pages[gfn];
    uint64_t word;

    assert_int_equal(p2m_read(&p2m, gfn << PAGE_SHIFT, &word, sizeof(word)), P2M_TOUCH_OK);
    tell(p);
    assert_int_equal(word, p->word);
}

static void lost(struct page *p)
{
    p->away = p->accessed = false;
    p->word = 0;
}

static void give(gfn_t gfn)
{
    FLUSH_BATCH(batch, &p2m);

    assert_true(p2m_balloon(&p2m, gfn, &batch) != P2M_GIVE_HOLE);
    flush_discharge(&batch);
    lost(&pages[gfn]);
}

/* A range with holes in it and beyond the last page. */
static void discard(gfn_t gfn)
{
    const uint64_t count = below(30) ? below(20) : below(UINT64_MAX);
    uint64_t frames = 0;
    FLUSH_BATCH(batch, &p2m);

    for (gfn_t g = gfn; g < LIMIT && g - gfn < count; g++) {
        frames += pages[g].ram && (pages[g].away || present(g));
        lost(&pages[g]);
    }
    assert_int_equal(p2m_discard(&p2m, gfn, count, &batch), frames);
    assert_int_equal(batch.count, frames); /* parked till the flush */
    flush_discharge(&batch);
    assert_int_equal(p2m_discard(&p2m, gfn, count, &batch), 0);
}

static void reset(void)
{
    p2m_reset(&p2m);
    for (gfn_t g = 0; g < LIMIT; g++) {
        lost(&pages[g]);
        pages[g].in = pages[g].told = false;
        assert_false(pages[g].ram && present(g));
    }
}

static bool is_touched(gfn_t gfn)
{
    const struct page *p = &pages[gfn];

    return p->told || (!p->away && present(gfn) && (!sample.accessed || p->accessed));
}

static uint64_t model_look(void)
{
    uint64_t touched = 0;

    for (gfn_t g = 0; g < LIMIT; g++) {
        if (!pages[g].in) continue;
        pages[g].told = is_touched(g);
        touched += pages[g].told;
    }
    return touched;
}

static void finish(uint64_t now)
{
    while (sample_step(&p2m, now, now / 2)) {
    }
}

static void new_period(uint64_t count, uint64_t method)
{
    const uint64_t before = sample.counts.period, in = sample.counts.pages, touched = model_look();
    const uint64_t now = below(1000);
    struct tithe_sample c;

    sample_ask(&p2m, count, method, UINT64_MAX);
    finish(now);
    sample_counts(&p2m, &c);
    assert_int_equal(c.period, before + 1);
    assert_int_equal(c.finished_pages, in);
    assert_int_equal(c.finished_touched, touched);
    assert_int_equal(c.pages, count < PAGES ? count : PAGES);
    assert_int_equal(c.touched, 0);
    assert_int_equal(c.started_ns, now);
    assert_int_equal(c.started_cpu_ns, now / 2);
    assert_int_equal(c.method, sample.accessed ? method : TITHE_SAMPLE_UNMAP);
    for (gfn_t g = 0; g < LIMIT; g++) pages[g].in = pages[g].told = pages[g].away = false;
    for (uint64_t i = 0; i < c.pages; i++) {
        struct page *p = &pages[sample.page[i].gfn];
        assert_true(p->ram);
        assert_false(p->in); /* none twice */
        p->in = true;
        p->away = sample.page[i].entry != 0;
        p->accessed = false;
        assert_int_equal(p->away, pt_type(p2m.format, entry_of(sample.page[i].gfn)) == P2M_SAMPLED &&
                                      !present(sample.page[i].gfn));
    }
}

static void look(void)
{
    const uint64_t touched = model_look();

    sample_ask(&p2m, 0, TITHE_SAMPLE_ABIT, UINT64_MAX);
    finish(0);
    assert_int_equal(sample.counts.touched, touched);
}

static void agree(void)
{
    struct tithe_ledger ledger;

    ledger_check(&(struct p2m *){&p2m}, 1, &ledger);
    if (ledger.differences) fail_msg("%lu differences: %s", ledger.differences, ledger.first);
    assert_int_equal(host_env_locks(), 0);
}

static void make(const struct pt_format *f, bool accessed)
{
    const struct p2m_range ranges[] = {{0, LOW}, {HIGH, PAGES - LOW}};
    const uint64_t core = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;

    host_env_reset(FRAMES);
    frames_init(direct_base, FRAMES);
    frames_add(0, core, FRAME_CORE);
    frames_add(core, FRAMES - core, FRAME_FREE);
    assert_true(p2m_create(&p2m, f, OWNER, ranges, ARRAY_LEN(ranges)));
    sample = (struct sample){.accessed = accessed, .random = below(UINT64_MAX)};
    p2m.sample = &sample;
    p2m.flush = forget_cached;
    for (gfn_t g = 0; g < LIMIT; g++) pages[g] = (struct page){.ram = g < LOW || g >= HIGH};
}

static void storm(const struct pt_format *f, bool accessed)
{
    make(f, accessed);
    for (unsigned step = 0; step < 60000; step++) {
        const gfn_t gfn = any_page();
        switch (below(20)) {
        default: guest_access(gfn); break;
        case 0: device_access(gfn); break;
        case 1: give(gfn); break;
        case 2: (void)p2m_unballoon(&p2m, gfn); break;
        case 8:
            if (below(50) == 0) p2m_populate(&p2m, below(PAGES));
            break;
        case 9: (void)p2m_populate_step(&p2m).more; break;
        case 7: discard(below(10) ? gfn : below(2 * LIMIT)); break;
        case 3:
            if (below(8) == 0) new_period(below(20) ? 1 + below(300) : 1024, below(2));
            break;
        case 4:
            if (below(8) == 0) look();
            break;
        case 5:
            if (below(100) == 0) reset();
            break;
        case 6:
            if (below(20) == 0) agree();
            break;
        }
    }
    agree();
    p2m_destroy(&p2m);
    agree();
}

static void counts_are_exact(void **state)
{
    (void)state;
    storm(&pt_format_npt, true);
    storm(&pt_format_ept, true);
    storm(&pt_format_ept, false);
}

/* Each page comes as often as any other, over many periods: 6 standard deviations. */
static void samples_are_uniform(void **state)
{
    enum { PERIODS = 3000, COUNT = 40 };
    unsigned times[LIMIT] = {0};
    const double p = (double)COUNT / PAGES, mean = PERIODS * p, limit = 36 * PERIODS * p * (1 - p);

    (void)state;
    make(&pt_format_npt, true);
    for (unsigned i = 0; i < PERIODS; i++) {
        sample_ask(&p2m, COUNT, TITHE_SAMPLE_ABIT, UINT64_MAX);
        finish(0);
        for (unsigned k = 0; k < COUNT; k++) times[sample.page[k].gfn]++;
    }
    for (gfn_t g = 0; g < LIMIT; g++) {
        const double off = (double)times[g] - mean;
        if (pages[g].ram && off * off > limit) fail_msg("page 0x%lx: %u times", g, times[g]);
    }
    /* Wide entries of untouched memory stay what they are. */
    assert_int_equal(p2m.present_pages, 0);
    assert_true(p2m.promised > 0);
}

/* The lowest untouched pages get frames, those above the reserve, and nothing else changes. */
static void populates_lowest_first(void **state)
{
    (void)state;
    make(&pt_format_npt, true);
    give(3);
    guest_access(5);
    p2m_populate(&p2m, 40);
    struct p2m_populated r = p2m_populate_step(&p2m);
    assert_true(r.more && !r.ended);
    assert_int_equal(p2m.populating.pages, 32);
    r = p2m_populate_step(&p2m);
    assert_true(!r.more && r.ended);
    assert_int_equal(r.given, 40);
    assert_int_equal(r.missing, 0);
    for (gfn_t g = 0; g < 60; g++) assert_int_equal(present(g), g < 42 && g != 3);
    r = p2m_populate_step(&p2m);
    assert_true(!r.more && !r.ended);
    assert_int_equal(p2m.populating.pages, 40);
    assert_int_equal(p2m.first_touches, 1);
    guest_access(10); /* zeros */
    agree();
    /* More than there is; ballooned pages stay so. */
    p2m_populate(&p2m, PAGES);
    do r = p2m_populate_step(&p2m);
    while (r.more);
    assert_true(r.ended);
    assert_int_equal(r.given, PAGES - 42);
    assert_int_equal(r.missing, 42);
    assert_int_equal(p2m.present_pages, PAGES - 1);
    assert_int_equal(p2m.ballooned_pages, 1);
    agree();
    /* The reserve stays, and what was asked for can be withdrawn. */
    reset();
    struct frame_counts c;
    frames_counts(&c);
    frames_set_reserve(c.free - c.promised - 50);
    p2m_populate(&p2m, 100);
    do r = p2m_populate_step(&p2m);
    while (r.more);
    assert_true(r.ended);
    assert_int_equal(r.given, 50);
    assert_int_equal(r.missing, 50);
    frames_set_reserve(0);
    p2m_populate(&p2m, 100);
    r = p2m_populate_step(&p2m);
    p2m_populate(&p2m, 0);
    r = p2m_populate_step(&p2m);
    assert_true(!r.more && !r.ended);
    agree();
    p2m_populate(&p2m, 100);
    p2m_destroy(&p2m);
    r = p2m_populate_step(&p2m);
    assert_true(!r.more);
    agree();
}

/* Steps are bounded, and a period that is being begun is not ended by asking again. */
static void steps(void **state)
{
    (void)state;
    make(&pt_format_ept, true);
    for (gfn_t g = 0; g < LOW; g++) guest_access(g);
    sample_ask(&p2m, 300, TITHE_SAMPLE_UNMAP, UINT64_MAX);
    assert_true(sample_step(&p2m, 1, 1)); /* nothing to end */
    assert_true(sample_step(&p2m, 2, 2));
    assert_true(sample.counts.pages <= SAMPLE_STEP);
    sample_ask(&p2m, 5, TITHE_SAMPLE_ABIT, UINT64_MAX);
    finish(3);
    assert_int_equal(sample.counts.pages, 300);
    assert_int_equal(sample.counts.period, 1);
    assert_int_equal(sample.counts.started_ns, 3);
    agree();
    /* Nor one that began after the asker looked; but one of which he knows is. */
    sample_ask(&p2m, 5, TITHE_SAMPLE_ABIT, 2);
    finish(4);
    assert_int_equal(sample.counts.period, 1);
    sample_ask(&p2m, 300, TITHE_SAMPLE_UNMAP, 3);
    finish(4);
    assert_int_equal(sample.counts.period, 2);
    /* What was asked for is forgotten; the period goes on. */
    sample_ask(&p2m, 5, TITHE_SAMPLE_ABIT, UINT64_MAX);
    sample_stop(&p2m);
    assert_false(sample_step(&p2m, 4, 4));
    assert_int_equal(sample.counts.period, 2);
    p2m_destroy(&p2m);
    sample_ask(&p2m, 5, TITHE_SAMPLE_ABIT, UINT64_MAX);
    finish(5); /* of nothing: nothing */
    assert_int_equal(sample.counts.pages, 0);
}

static void orders_have_no_repetitions(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 700; n++) {
        bool seen[700] = {false};
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t at = permute(i, n, n * 77);
            assert_true(at < n && !seen[at]);
            seen[at] = true;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_exact),           cmocka_unit_test(samples_are_uniform),
        cmocka_unit_test(populates_lowest_first),     cmocka_unit_test(steps),
        cmocka_unit_test(orders_have_no_repetitions),
    };
    const int failed = cmocka_run_group_tests_name("mem_sample", tests, NULL, NULL);
    host_env_end();
    return failed;
}
