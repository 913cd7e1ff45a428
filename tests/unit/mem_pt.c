/* SPDX-License-Identifier: MIT
 *
 * Entry formats, and the walker on second-level tables.
 */
#include "mem_tables.h"

static void formats_agree_with_the_manuals(void **state)
{
    const struct pt_format *ept = &pt_format_ept, *npt = &pt_format_npt, *host = &pt_format_host;
    const hpa_t hpa = 0x123456000;

    (void)state;
    /* SDM 3C tables 28-1 to 28-7. */
    assert_int_equal(pt_leaf(ept, hpa, 1, PT_RWX), hpa | 0x37);
    assert_int_equal(pt_leaf(ept, hpa, 1, PT_READ), hpa | 0x31);
    assert_int_equal(pt_leaf(ept, 0x40000000, 2, PT_RWX), 0x40000000 | 0xb7);
    assert_int_equal(pt_leaf(ept, hpa, 1, PT_RWX | PT_UNCACHED), hpa | 0x07);
    assert_int_equal(ept->table, 7);
    assert_int_equal(ept->accessed, 1 << 8);
    assert_int_equal(ept->dirty, 1 << 9);
    /* APM 2 15.25.5: user at all levels. */
    assert_int_equal(pt_leaf(npt, hpa, 1, PT_RWX), hpa | 0x07);
    assert_int_equal(pt_leaf(npt, hpa, 1, PT_READ | PT_WRITE), hpa | 0x8000000000000007);
    assert_int_equal(pt_leaf(npt, hpa, 1, PT_READ | PT_EXEC), hpa | 0x05);
    assert_int_equal(npt->table, 7);
    /* SDM 3A tables 4-15 to 4-20. */
    assert_int_equal(host->table, 0x27);
    assert_int_equal(pt_leaf(host, hpa, 1, PT_READ | PT_EXEC), hpa | 0x61);
    assert_int_equal(pt_leaf(host, hpa, 1, PT_READ | PT_WRITE), hpa | 0x8000000000000063);
    assert_int_equal(pt_leaf(host, hpa, 1, PT_READ | PT_WRITE | PT_USER), hpa | 0x8000000000000067);
    assert_int_equal(pt_leaf(host, 0x40000000, 3, PT_READ | PT_WRITE | PT_GLOBAL),
                     0x40000000 | 0x80000000000001e3);
    assert_int_equal(pt_leaf(host, hpa, 1, PT_READ | PT_WRITE | PT_UNCACHED), hpa | 0x800000000000007b);
}

static void ept_pointer_follows_the_capabilities(void **state)
{
    (void)state;
    assert_int_equal(ept_pointer(0x5000, 1ull << 14 | 1ull << 21), 0x505e);
    assert_int_equal(ept_pointer(0x5000, 1ull << 14), 0x501e);
    assert_int_equal(ept_pointer(0x5000, 0), 0x5018);
}

static void types_are_invisible_to_the_cpu(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct pt_format *f = both_formats[i];
        for (unsigned type = P2M_HOLE; type < P2M_PRESENT; type++) {
            const uint64_t entry = pt_absent(f, type);
            assert_false(pt_present(f, entry));
            assert_int_equal(pt_type(f, entry), type);
            assert_int_equal(entry & ~f->free, 0);
            assert_int_equal(entry & f->address, 0);
            assert_int_equal(entry == 0, type == P2M_HOLE);
        }
    }
}

static void marks_use_wide_entries(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t mark = pt_absent(both_formats[i], P2M_UNTOUCHED);
        tables_make(&t, both_formats[i], 10);
        /* 1 GiB aligned, a 2 MiB piece after it, 3 pages after that. */
        assert_true(pt_mark(&t.pt, 1 << 18, (1 << 18) + 512 + 3, P2M_UNTOUCHED));
        assert_int_equal(t.next, 5); /* root, and one table at each level below */
        assert_int_equal(cpu_entry(&t.pt, (1 << 18) - 1, &span), 0);
        assert_int_equal(cpu_entry(&t.pt, (1 << 18) + 5, &span), mark);
        assert_int_equal(span, 1 << 18);
        assert_int_equal(cpu_entry(&t.pt, (2 << 18) + 5, &span), mark);
        assert_int_equal(span, 512);
        assert_int_equal(cpu_entry(&t.pt, (2 << 18) + 512 + 2, &span), mark);
        assert_int_equal(span, 1);
        assert_int_equal(cpu_entry(&t.pt, (2 << 18) + 512 + 3, &span), 0);
    }
}

static void find_stops_where_the_cpu_does(void **state)
{
    static const uint64_t pages[] = {0, 1, 511, 512, 1 << 18, (1ull << 27) - 1, 1ull << 27, (1ull << 36) - 1};
    struct test_tables t;

    (void)state;
    tables_make(&t, &pt_format_ept, 30);
    assert_true(pt_map(&t.pt, 1ull << 30, 1ull << 30, 1ull << 30, PT_RWX, 3));
    assert_true(pt_map(&t.pt, 0x200000, 0x200000, 0x203000, PT_RWX, 2));
    assert_true(pt_mark(&t.pt, 1ull << 27, 1ull << 27, P2M_BALLOONED));
    for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
        unsigned level;
        uint64_t span;
        const uint64_t entry = *pt_find(t.pt.format, t.pt.root, pages[i], &level);
        assert_int_equal(entry, cpu_entry(&t.pt, pages[i], &span));
        assert_int_equal(pt_span(level), span);
    }
}

static void splitting_changes_no_meaning(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct pt_format *f = both_formats[i];
        const uint64_t mark = pt_absent(f, P2M_BALLOONED);
        tables_make(&t, f, 10);
        assert_true(pt_mark(&t.pt, 0, 1ull << 27, P2M_BALLOONED));
        assert_int_equal(t.next, 2);
        uint64_t *slot = pt_ensure(&t.pt, 0x12345, 1);
        assert_non_null(slot);
        assert_int_equal(t.next, 5);
        assert_int_equal(*slot, mark);
        *slot = pt_leaf(f, 0x777000, 1, PT_RWX);
        for (uint64_t page = 0x12000; page < 0x12800; page++) {
            assert_int_equal(cpu_entry(&t.pt, page, &span),
                             page == 0x12345 ? pt_leaf(f, 0x777000, 1, PT_RWX) : mark);
        }
        assert_int_equal(cpu_entry(&t.pt, 0, &span), mark);
        assert_int_equal(cpu_entry(&t.pt, (1 << 27) - 1, &span), mark);
        assert_true(pt_ensure(&t.pt, 0x12345, 1) == slot);
        assert_int_equal(t.next, 5);
    }
}

static void splitting_a_leaf_keeps_rights_and_history(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct pt_format *f = both_formats[i];
        tables_make(&t, f, 10);
        assert_true(pt_map(&t.pt, 0, 0x80000000, 1 << 30, PT_READ | PT_EXEC, 3));
        assert_int_equal(t.next, 3);
        *pt_ensure(&t.pt, 0, 3) |= f->accessed | f->dirty;
        assert_non_null(pt_ensure(&t.pt, 0x3ffff, 1));
        const uint64_t flags = f->accessed | f->dirty;
        assert_int_equal(cpu_entry(&t.pt, 512, &span), pt_leaf(f, 0x80200000, 2, PT_READ | PT_EXEC) | flags);
        assert_int_equal(span, 512);
        assert_int_equal(cpu_entry(&t.pt, 0x3fe07, &span),
                         pt_leaf(f, 0xbfe07000, 1, PT_READ | PT_EXEC) | flags);
        assert_int_equal(span, 1);
    }
}

static void new_rights_keep_history(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct pt_format *f = both_formats[i];
        tables_make(&t, f, 10);
        assert_true(pt_map(&t.pt, 0x3000, 0x70000, 0x1000, PT_RWX, 1));
        *pt_ensure(&t.pt, 3, 1) |= f->accessed | f->dirty;
        assert_true(pt_protect(&t.pt, 0x2000, 0x4000, PT_READ));
        assert_int_equal(cpu_entry(&t.pt, 3, &span),
                         pt_leaf(f, 0x70000, 1, PT_READ) | f->accessed | f->dirty);
        assert_int_equal(cpu_entry(&t.pt, 2, &span), 0);
    }
}

static void out_of_tables_changes_nothing(void **state)
{
    struct test_tables t;
    uint64_t span;

    (void)state;
    tables_make(&t, &pt_format_npt, 3);
    assert_true(pt_mark(&t.pt, 0, 1ull << 36, P2M_UNTOUCHED));
    assert_null(pt_ensure(&t.pt, 0x12345, 1)); /* wants 3, has 2 */
    assert_int_equal(cpu_entry(&t.pt, 0x12345, &span), pt_absent(t.pt.format, P2M_UNTOUCHED));
    assert_int_equal(span, 512);
    assert_false(pt_map(&t.pt, 0x1000, 0x1000, 0x1000, PT_RWX, 1));
    assert_int_equal(cpu_entry(&t.pt, 1, &span), pt_absent(t.pt.format, P2M_UNTOUCHED));
    t.limit = t.next;
    assert_false(pt_create(&t.pt));
}

/* ---- visiting ---- */

struct seen {
    unsigned entries, tables, left;
    uint64_t pages, last_page;
    unsigned skip_level;
};

static bool seen_enter(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct seen *s = ctx;

    (void)slot, (void)page;
    s->tables++;
    return level != s->skip_level;
}

static void seen_entry(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct seen *s = ctx;

    assert_int_not_equal(*slot, 0);
    assert_true(s->entries == 0 || page > s->last_page);
    s->last_page = page;
    s->entries++;
    s->pages += pt_span(level);
}

static void seen_leave(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    struct seen *s = ctx;

    (void)slot, (void)page, (void)level;
    s->left++;
}

static void visits_come_in_order(void **state)
{
    static const struct pt_visitor visitor = {.enter = seen_enter, .entry = seen_entry, .leave = seen_leave};
    struct test_tables t;
    struct seen s = {0};

    (void)state;
    tables_make(&t, &pt_format_ept, 20);
    assert_true(pt_mark(&t.pt, 3, 1 << 18, P2M_UNTOUCHED));
    assert_true(pt_map(&t.pt, 5ull << 39, 0, 4096, PT_RWX, 1));
    pt_visit(t.pt.format, t.pt.root, 0, 1ull << 36, &visitor, &s);
    assert_int_equal(s.pages, (1 << 18) + 1);
    assert_int_equal(s.entries, 509 + 511 + 3 + 1);
    assert_int_equal(s.tables, t.next - 2); /* not the root */
    assert_int_equal(s.left, s.tables);

    s = (struct seen){0};
    pt_visit(t.pt.format, t.pt.root, 10, 12, &visitor, &s);
    assert_int_equal(s.entries, 2);
    assert_int_equal(s.last_page, 11);
    s = (struct seen){0};
    pt_visit(t.pt.format, t.pt.root, 1000, 1001, &visitor, &s); /* inside a wide entry */
    assert_int_equal(s.entries, 1);
    assert_int_equal(s.last_page, 512);
    s = (struct seen){.skip_level = 2};
    pt_visit(t.pt.format, t.pt.root, 0, 1ull << 36, &visitor, &s);
    assert_int_equal(s.entries, 511);
    assert_int_equal(s.left, s.tables - 3);
    s = (struct seen){0};
    pt_visit(t.pt.format, t.pt.root, 50, 50, &visitor, &s);
    assert_int_equal(s.entries, 0);
    pt_visit(t.pt.format, t.pt.root, 0, 1ull << 36, &(struct pt_visitor){0}, NULL);
}

/* ---- what a CPU that walks meanwhile may see ---- */

struct watch {
    struct test_tables t;
    uint64_t changing;      /* the page that is changed */
    uint64_t before, after; /* its entry, less what a split changes */
    uint64_t checks;
};

static const uint64_t watched[] = {0, 1, 511, 512, 513, 0x3ffff, 0x40000, (1ull << 36) - 1};
static uint64_t watched_before[ARRAY_LEN(watched)];

/* Where a page leads and with which rights; or the type, when nowhere. */
static uint64_t meaning(const struct pt *pt, uint64_t page)
{
    uint64_t span;
    const uint64_t entry = cpu_entry(pt, page, &span);

    if (!pt_present(pt->format, entry)) return entry;
    return (entry & ~pt->format->large) + ((page & (span - 1)) << PAGE_SHIFT);
}

static void watch_check(void *ctx)
{
    struct watch *w = ctx;
    const uint64_t now = meaning(&w->t.pt, w->changing);

    w->checks++;
    if (now != w->before && now != w->after) abort();
    for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
        if (watched[i] != w->changing && meaning(&w->t.pt, watched[i]) != watched_before[i]) abort();
    }
}

static void watch_start(struct watch *w, uint64_t page)
{
    w->changing = page;
    w->before = meaning(&w->t.pt, page);
    for (size_t i = 0; i < ARRAY_LEN(watched); i++) watched_before[i] = meaning(&w->t.pt, watched[i]);
}

static void act_map(void *ctx)
{
    struct watch *w = ctx;

    if (!pt_map(&w->t.pt, w->changing << PAGE_SHIFT, 0x55000, PAGE_BYTES, PT_RWX, 1)) abort();
}

static void act_unmap(void *ctx)
{
    struct watch *w = ctx;

    if (!pt_unmap(&w->t.pt, w->changing << PAGE_SHIFT, PAGE_BYTES)) abort();
}

static void act_protect(void *ctx)
{
    struct watch *w = ctx;

    if (!pt_protect(&w->t.pt, w->changing << PAGE_SHIFT, PAGE_BYTES, PT_READ)) abort();
}

static void no_step_shows_a_third_thing(void **state)
{
    struct watch w = {.checks = 0};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        const struct pt_format *f = both_formats[i];
        /* A page of a huge untouched range becomes present: three tables on the way. */
        tables_make(&w.t, f, 20);
        assert_true(pt_mark(&w.t.pt, 0, 1ull << 27, P2M_UNTOUCHED));
        watch_start(&w, 512);
        w.after = pt_leaf(f, 0x55000, 1, PT_RWX);
        assert_true(every_instruction(act_map, watch_check, &w) > 1500);
        assert_int_equal(meaning(&w.t.pt, 512), w.after);
        /* ... and goes again. */
        watch_start(&w, 512);
        w.after = 0;
        assert_true(every_instruction(act_unmap, watch_check, &w) > 10);
        assert_int_equal(meaning(&w.t.pt, 512), 0);
        /* A page of a 1 GiB leaf becomes read-only. */
        tables_make(&w.t, f, 20);
        assert_true(pt_map(&w.t.pt, 0, 0x40000000, 1 << 30, PT_RWX, 3));
        watch_start(&w, 513);
        w.after = pt_leaf(f, 0x40201000, 1, PT_READ);
        assert_true(every_instruction(act_protect, watch_check, &w) > 2000);
        assert_int_equal(meaning(&w.t.pt, 513), w.after);
    }
    assert_true(w.checks > 10000);
}

const struct CMUnitTest pt_tests[] = {
    cmocka_unit_test(formats_agree_with_the_manuals),
    cmocka_unit_test(ept_pointer_follows_the_capabilities),
    cmocka_unit_test(types_are_invisible_to_the_cpu),
    cmocka_unit_test(marks_use_wide_entries),
    cmocka_unit_test(find_stops_where_the_cpu_does),
    cmocka_unit_test(splitting_changes_no_meaning),
    cmocka_unit_test(splitting_a_leaf_keeps_rights_and_history),
    cmocka_unit_test(new_rights_keep_history),
    cmocka_unit_test(out_of_tables_changes_nothing),
    cmocka_unit_test(visits_come_in_order),
    cmocka_unit_test(no_step_shows_a_third_thing),
};
const size_t pt_test_count = ARRAY_LEN(pt_tests);
