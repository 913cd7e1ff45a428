/* SPDX-License-Identifier: MIT
 *
 * The guest-physical map: making it, touching, the balloon, resets, and the order of flushes.
 */
#include "mem_machine.h"

#define EACH_FORMAT(f) for (const struct pt_format *const *f = both_formats; f < both_formats + 2; f++)

static const struct p2m_range pc_ranges[] = {{0, 0xa0}, {0xe0, 0x20}, {0x100, 0x700}, {0x100000, 0x234}};
#define PC_PAGES (0xa0u + 0x20 + 0x700 + 0x234)

static struct {
    uint64_t calls;
    mfn_t must_be_parked; /* at the time of the flush */
} flushes;

static void count_flush(struct p2m *p2m)
{
    (void)p2m;
    flushes.calls++;
    assert_int_equal(host_env_locks(), 0);
    if (flushes.must_be_parked != MFN_NONE)
        assert_int_equal(frame_state(flushes.must_be_parked), FRAME_PARKED);
}

static void make(struct p2m *p2m, const struct pt_format *f, uint16_t owner)
{
    assert_true(p2m_create(p2m, f, owner, pc_ranges, ARRAY_LEN(pc_ranges)));
    p2m->flush = count_flush;
    flushes.calls = 0;
    flushes.must_be_parked = MFN_NONE;
}

static mfn_t touch(struct p2m *p2m, gfn_t gfn)
{
    mfn_t mfn = MFN_NONE;

    assert_int_equal(p2m_touch(p2m, gfn, true), P2M_TOUCH_OK);
    assert_int_equal(p2m_lookup(p2m, gfn, &mfn), P2M_PRESENT);
    return mfn;
}

static enum p2m_type type_of(struct p2m *p2m, gfn_t gfn)
{
    mfn_t mfn;

    return p2m_lookup(p2m, gfn, &mfn);
}

static void worst_case_of_tables(void **state)
{
    (void)state;
    assert_int_equal(p2m_table_pages(NULL, 0), 1);
    assert_int_equal(p2m_table_pages(&(struct p2m_range){0, 1}, 1), 4);
    assert_int_equal(p2m_table_pages(&(struct p2m_range){511, 2}, 1), 5);
    assert_int_equal(p2m_table_pages(&(struct p2m_range){0, 1ull << 36}, 1),
                     1 + 512 + 512 * 512 + 512 * 512 * 512);
    /* 4 pieces: 4 tables of level 1 below 4 MiB.., 2 above 4 GiB; one of level 2 each; one of level 3. */
    assert_int_equal(p2m_table_pages(pc_ranges, ARRAY_LEN(pc_ranges)), 4 + 2 + 2 + 1 + 1);
    /* The order of ranges does not matter, nor that one lies between two others in one table. */
    const struct p2m_range mixed[] = {{10, 1}, {600, 500}, {0, 5}, {2000, 3}, {20, 480}};
    assert_int_equal(p2m_table_pages(mixed, ARRAY_LEN(mixed)), 4 + 3);
    const struct p2m_range last_shared[] = {{600, 500}, {10, 580}};
    assert_int_equal(p2m_table_pages(last_shared, ARRAY_LEN(last_shared)), 3 + 3);
}

static void creating_promises_and_marks(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        struct frame_counts c;
        struct p2m p2m;
        machine(100);
        make(&p2m, *f, 5);
        frames_counts(&c);
        assert_int_equal(c.promised + c.table, 10);
        assert_int_equal(c.promised, p2m.promised);
        assert_int_equal(c.table, p2m.table_pages);
        assert_int_equal(p2m.size_pages, PC_PAGES);
        assert_int_equal(type_of(&p2m, 0x9f), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0xa0), P2M_HOLE);
        assert_int_equal(type_of(&p2m, 0xdf), P2M_HOLE);
        assert_int_equal(type_of(&p2m, 0x100), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0x7ff), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0x800), P2M_HOLE);
        assert_int_equal(type_of(&p2m, 0x100233), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0x100234), P2M_HOLE);
        assert_int_equal(type_of(&p2m, UINT64_MAX), P2M_HOLE);
        assert_ledger(&(struct p2m *){&p2m}, 1);
        p2m_destroy(&p2m);
        p2m_destroy(&p2m); /* of nothing: nothing */
        frames_counts(&c);
        assert_int_equal(c.promised + c.table, 0);
        assert_int_equal(type_of(&p2m, 0), P2M_HOLE);
        assert_ledger(&(struct p2m *){&p2m}, 1);
    }
}

static void a_large_vm_costs_few_tables_untouched(void **state)
{
    struct p2m p2m;

    (void)state;
    machine(1000);
    assert_true(p2m_create(&p2m, &pt_format_ept, 1, &(struct p2m_range){0, 300000}, 1));
    assert_int_equal(p2m.table_pages, 4); /* of 590 */
    assert_int_equal(p2m.promised, 586);
    touch(&p2m, 100000);
    assert_int_equal(p2m.table_pages, 6);
    assert_ledger(&(struct p2m *){&p2m}, 1);
}

static void bad_ranges_and_small_memory_are_refused(void **state)
{
    static const struct p2m_range bad[][2] = {
        {{0, 10}, {9, 1}},         {{5, 10}, {0, 6}},         {{5, 1}, {0, 100}},
        {{0, 10}, {3, 0}},         {{1ull << 32, 1}, {0, 1}}, {{0, 1}, {(1ull << 32) - 1, 2}},
        {{0, 1}, {5, UINT64_MAX}}, {{0, 1}, {UINT64_MAX, 2}}, {{UINT64_MAX, UINT64_MAX}, {0, 1}},
    };
    struct p2m p2m;

    (void)state;
    machine(100);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) assert_false(p2m_create(&p2m, &pt_format_npt, 1, bad[i], 2));
    assert_int_equal(free_frames(), 100 - machine_core);
    assert_true(p2m_create(&p2m, &pt_format_npt, 1, &(struct p2m_range){(1ull << 32) - 1, 1}, 1));
    p2m_destroy(&p2m);
    assert_true(p2m_create(&p2m, &pt_format_npt, 1, NULL, 0));
    assert_int_equal(type_of(&p2m, 0), P2M_HOLE);
    p2m_destroy(&p2m);
    frames_set_reserve(100 - machine_core - 9);
    assert_false(p2m_create(&p2m, &pt_format_npt, 1, pc_ranges, ARRAY_LEN(pc_ranges)));
    p2m_destroy(&p2m); /* keeps nothing */
    frames_set_reserve(100 - machine_core - 10);
    assert_true(p2m_create(&p2m, &pt_format_npt, 1, pc_ranges, ARRAY_LEN(pc_ranges)));
    assert_true(
        PANICS("a second-level format of", !p2m_create(&p2m, &(struct pt_format){.levels = 5}, 1, NULL, 0)));
}

static void touching_gives_zeroed_frames_once(void **state)
{
    static const uint8_t zero[PAGE_BYTES];

    (void)state;
    EACH_FORMAT(f)
    {
        struct p2m p2m;
        mfn_t mfn = MFN_NONE;
        machine(100);
        make(&p2m, *f, 5);
        const mfn_t a = touch(&p2m, 0x123);
        assert_memory_equal(mfn_to_virt(a), zero, PAGE_BYTES);
        assert_int_equal(frame_gfn(a), 0x123);
        assert_int_equal(frame_owner(a), 5);
        assert_int_equal(touch(&p2m, 0x123), a);
        assert_int_equal(p2m_lookup(&p2m, 0x123, &mfn), P2M_PRESENT);
        assert_int_equal(mfn, a);
        assert_int_equal(p2m.first_touches, 1);
        assert_int_equal(p2m.present_pages, 1);
        assert_int_equal(p2m_touch(&p2m, 0xa0, true), P2M_TOUCH_HOLE);
        assert_int_equal(p2m_touch(&p2m, 0x800, true), P2M_TOUCH_HOLE);
        assert_int_equal(p2m_touch(&p2m, 1ull << 36, true), P2M_TOUCH_HOLE);
        assert_int_equal(p2m_touch(&p2m, 1ull << 52 | 0x123, true), P2M_TOUCH_HOLE);
        assert_int_equal(flushes.calls, 0);
        frames_set_reserve(free_frames() - p2m.promised);
        assert_int_equal(p2m_touch(&p2m, 0x124, true), P2M_TOUCH_NO_MEMORY);
        assert_int_equal(type_of(&p2m, 0x124), P2M_UNTOUCHED);
        frames_set_reserve(0);
        touch(&p2m, 0x124);
        assert_ledger(&(struct p2m *){&p2m}, 1);
        p2m_destroy(&p2m);
        assert_int_equal(free_frames(), 100 - machine_core);
        assert_int_equal(flushes.calls, 1);
    }
}

static void reading_and_writing_touch_as_the_guest_does(void **state)
{
    uint8_t in[300], out[300];

    (void)state;
    for (unsigned i = 0; i < sizeof(in); i++) in[i] = (uint8_t)(i * 7 + 1);
    EACH_FORMAT(f)
    {
        struct p2m p2m;
        machine(100);
        make(&p2m, *f, 5);
        assert_true(p2m_is_ram(&p2m, 0x9f));
        assert_false(p2m_is_ram(&p2m, 0xa0));
        assert_false(p2m_is_ram(&p2m, UINT64_MAX));
        memset(out, 1, sizeof(out));
        assert_int_equal(p2m_read(&p2m, 0x5010, out, 16), P2M_TOUCH_OK);
        for (unsigned i = 0; i < 16; i++) assert_int_equal(out[i], 0);
        assert_int_equal(p2m.first_touches, 1);
        /* Any size at any place, nothing but what was asked for. */
        for (size_t bytes = 0; bytes < 20; bytes++) {
            for (gpa_t at = 0; at < 10; at++) {
                uint8_t *page = mfn_to_virt(touch(&p2m, 5));
                memset(page, 0xcc, 64);
                memset(out, 0xdd, sizeof(out));
                assert_int_equal(p2m_write(&p2m, 0x5008 + at, in, bytes), P2M_TOUCH_OK);
                assert_memory_equal(page + 8 + at, in, bytes);
                assert_int_equal(page[8 + at - 1], 0xcc);
                assert_int_equal(page[8 + at + bytes], 0xcc);
                assert_int_equal(p2m_read(&p2m, 0x5008 + at, out, bytes), P2M_TOUCH_OK);
                assert_memory_equal(out, in, bytes);
                assert_int_equal(out[bytes], 0xdd);
            }
        }
        assert_int_equal(p2m_write(&p2m, 0x6000 - sizeof(in), in, sizeof(in)), P2M_TOUCH_OK);
        assert_int_equal(p2m_write(&p2m, 0xa0000, in, 1), P2M_TOUCH_HOLE);
        assert_int_equal(p2m_read(&p2m, UINT64_MAX, out, 1), P2M_TOUCH_HOLE);
        frames_set_reserve(100);
        assert_int_equal(p2m_write(&p2m, 0x7000, in, 1), P2M_TOUCH_NO_MEMORY);
        assert_int_equal(p2m_read(&p2m, 0x5008, out, 8), P2M_TOUCH_OK);
        frames_set_reserve(0);
        p2m_destroy(&p2m);
    }
}

static void cmpxchg_replaces_only_what_it_knows(void **state)
{
    static const uint64_t first = 0x1122334455667788;
    struct p2m p2m;
    uint64_t was, now;

    (void)state;
    machine(100);
    make(&p2m, &pt_format_ept, 5);
    assert_int_equal(p2m_cmpxchg(&p2m, 0x5008, 8, 0, first, &was), P2M_TOUCH_OK);
    assert_int_equal(was, 0);
    assert_int_equal(p2m_cmpxchg(&p2m, 0x5008, 8, 1, 2, &was), P2M_TOUCH_OK);
    assert_int_equal(was, first);
    assert_int_equal(p2m_cmpxchg(&p2m, 0x500c, 4, 0x11223344, 0xaabbccdd, &was), P2M_TOUCH_OK);
    assert_int_equal(was, 0x11223344);
    assert_int_equal(p2m_read(&p2m, 0x5008, &now, 8), P2M_TOUCH_OK);
    assert_int_equal(now, 0xaabbccdd55667788);
    assert_int_equal(p2m_cmpxchg(&p2m, 0xa0000, 4, 0, 1, &was), P2M_TOUCH_HOLE);
    assert_true(PANICS("across pages", (void)!p2m_read(&p2m, 0x5fff, &now, 2)));
    assert_true(PANICS("a cmpxchg of 8", (void)!p2m_cmpxchg(&p2m, 0x5004, 8, 0, 1, &was)));
    assert_true(PANICS("a cmpxchg of 2", (void)!p2m_cmpxchg(&p2m, 0x5004, 2, 0, 1, &was)));
}

static void ballooning_parks_flushes_and_frees_in_this_order(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        struct p2m p2m;
        machine(100);
        make(&p2m, *f, 5);
        const mfn_t a = touch(&p2m, 0x123);
        const mfn_t b = touch(&p2m, 0x124);
        const uint64_t before = free_frames();
        {
            FLUSH_BATCH(batch, &p2m);
            assert_int_equal(p2m_balloon(&p2m, 0x123, &batch), P2M_GIVE_OK);
            assert_int_equal(p2m_balloon(&p2m, 0x124, &batch), P2M_GIVE_OK);
            assert_int_equal(p2m_balloon(&p2m, 0x124, &batch), P2M_GIVE_ALREADY);
            assert_int_equal(p2m_balloon(&p2m, 0xa5, &batch), P2M_GIVE_HOLE);
            assert_int_equal(p2m_balloon(&p2m, UINT32_MAX, &batch), P2M_GIVE_HOLE);
            assert_int_equal(batch.count, 2);
            assert_int_equal(free_frames(), before);
            assert_int_equal(frame_state(a), FRAME_PARKED);
            assert_int_equal(frame_state(b), FRAME_PARKED);
            flushes.must_be_parked = a;
            flush_discharge(&batch);
            assert_int_equal(flushes.calls, 1);
            flush_discharge(&batch); /* nothing owed: no flush */
            assert_int_equal(flushes.calls, 1);
            flushes.must_be_parked = MFN_NONE;
        }
        assert_int_equal(free_frames(), before + 2);
        assert_int_equal(p2m.ballooned_pages, 2);
        assert_int_equal(p2m.present_pages, 0);
        assert_int_equal(type_of(&p2m, 0x123), P2M_BALLOONED);
        /* The guest touches one (a pop), takes one back. */
        touch(&p2m, 0x123);
        assert_int_equal(p2m.pops, 1);
        assert_int_equal(p2m.first_touches, 2);
        assert_true(p2m_unballoon(&p2m, 0x124));
        assert_false(p2m_unballoon(&p2m, 0x124));
        assert_false(p2m_unballoon(&p2m, 0x123));
        assert_false(p2m_unballoon(&p2m, 0xa5));
        assert_false(p2m_unballoon(&p2m, UINT64_MAX));
        assert_int_equal(type_of(&p2m, 0x124), P2M_UNTOUCHED);
        assert_int_equal(p2m.ballooned_pages, 0);
        assert_ledger(&(struct p2m *){&p2m}, 1);
        p2m_destroy(&p2m);
    }
}

static void ballooning_untouched_pages_needs_no_flush_and_no_free_frame(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        struct p2m p2m;
        machine(100);
        make(&p2m, *f, 5);
        while (frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) != MFN_NONE) continue;
        FLUSH_BATCH(batch, &p2m);
        for (size_t r = 0; r < ARRAY_LEN(pc_ranges); r++) {
            for (gfn_t i = 0; i < pc_ranges[r].count; i++) {
                assert_int_equal(p2m_balloon(&p2m, pc_ranges[r].start + i, &batch), P2M_GIVE_OK);
            }
        }
        assert_int_equal(p2m.promised, 0);
        assert_int_equal(free_frames(), 0);
        assert_false(batch.owed);
        flush_discharge(&batch);
        assert_int_equal(flushes.calls, 0);
        assert_int_equal(p2m.ballooned_pages, PC_PAGES);
        assert_ledger(&(struct p2m *){&p2m}, 1);
        assert_int_equal(p2m_pop_all(&p2m), PC_PAGES);
        assert_int_equal(p2m_pop_all(&p2m), 0);
        assert_int_equal(p2m.ballooned_pages, 0);
        assert_int_equal(p2m.pops, 0);
        assert_int_equal(type_of(&p2m, 0x7ff), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0xa0), P2M_HOLE);
        assert_ledger(&(struct p2m *){&p2m}, 1);
    }
}

static void a_balloon_across_gibibytes_pops_whole(void **state)
{
    const struct p2m_range ranges[] = {{0x3ff00, 0x200}, {0x7fff0, 0x20}, {0xc0000, 1}};
    struct p2m p2m;

    (void)state;
    machine(100);
    assert_true(p2m_create(&p2m, &pt_format_npt, 5, ranges, ARRAY_LEN(ranges)));
    FLUSH_BATCH(batch, &p2m);
    for (size_t r = 0; r < ARRAY_LEN(ranges); r++) {
        for (gfn_t i = 0; i < ranges[r].count; i++)
            assert_int_equal(p2m_balloon(&p2m, ranges[r].start + i, &batch), P2M_GIVE_OK);
    }
    assert_int_equal(p2m_pop_all(&p2m), 0x221);
    assert_int_equal(p2m.ballooned_pages, 0);
    assert_ledger(&(struct p2m *){&p2m}, 1);
}

static void messages_are_taken_whole(void **state)
{
    /* Hostile and repeated ones among them; neighbours, far ones, tables in between. */
    static const uint32_t gfns[] = {0x100,    0x101, 0x100, 0xa5,  0x9f, UINT32_MAX,
                                    0x100000, 0x102, 0x800, 0x3ff, 0x400};

    (void)state;
    EACH_FORMAT(f)
    {
        struct p2m p2m;
        machine(100);
        make(&p2m, *f, 5);
        touch(&p2m, 0x101);
        touch(&p2m, 0x400);
        FLUSH_BATCH(batch, &p2m);
        assert_int_equal(p2m_balloon_pages(&p2m, gfns, ARRAY_LEN(gfns), &batch), 7);
        assert_int_equal(p2m_balloon_pages(&p2m, gfns, ARRAY_LEN(gfns), &batch), 0);
        assert_int_equal(p2m_balloon_pages(&p2m, NULL, 0, &batch), 0);
        assert_int_equal(batch.count, 2);
        flush_discharge(&batch);
        assert_int_equal(flushes.calls, 1);
        assert_int_equal(p2m.ballooned_pages, 7);
        assert_int_equal(type_of(&p2m, 0x3ff), P2M_BALLOONED);
        assert_int_equal(type_of(&p2m, 0xa5), P2M_HOLE);
        assert_ledger(&(struct p2m *){&p2m}, 1);
        touch(&p2m, 0x102);
        assert_int_equal(p2m_unballoon_pages(&p2m, gfns, ARRAY_LEN(gfns)), 6);
        assert_int_equal(p2m_unballoon_pages(&p2m, gfns, ARRAY_LEN(gfns)), 0);
        assert_int_equal(p2m.ballooned_pages, 0);
        assert_int_equal(type_of(&p2m, 0x3ff), P2M_UNTOUCHED);
        assert_ledger(&(struct p2m *){&p2m}, 1);
    }
}

static void leave_open(struct p2m *p2m, bool owed_only)
{
    FLUSH_BATCH(batch, p2m);

    (void)!p2m_balloon(p2m, 0x123, &batch);
    if (owed_only)
        batch.parked = MFN_NONE;
    else
        batch.owed = false;
}

static void an_open_obligation_panics(void **state)
{
    struct p2m p2m, other;

    (void)state;
    for (volatile int owed_only = 0; owed_only < 2; owed_only++) {
        machine(100);
        make(&p2m, &pt_format_ept, 5);
        touch(&p2m, 0x123);
        assert_true(PANICS(owed_only ? "and a flush owed" : "slot 5 ended with 1 frames parked",
                           leave_open(&p2m, owed_only != 0)));
    }
    machine(100);
    make(&p2m, &pt_format_ept, 5);
    make(&other, &pt_format_ept, 6);
    FLUSH_BATCH(batch, &other);
    assert_true(PANICS("a flush batch of VM slot 6 for VM slot 5", (void)!p2m_balloon(&p2m, 0x123, &batch)));
    assert_true(PANICS("a flush batch of VM slot 6 for VM slot 5", p2m_balloon_pages(&p2m, NULL, 0, &batch)));
}

static void reset_forgets_everything(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        struct p2m p2m;
        machine(200);
        make(&p2m, *f, 5);
        const uint64_t before = free_frames() - p2m.promised;
        for (gfn_t gfn = 0x100; gfn < 0x140; gfn++) touch(&p2m, gfn);
        flushes.must_be_parked = touch(&p2m, 0x100010);
        {
            FLUSH_BATCH(batch, &p2m);
            assert_int_equal(p2m_balloon(&p2m, 0x200, &batch), P2M_GIVE_OK);
            flush_discharge(&batch);
        }
        p2m_reset(&p2m);
        assert_int_equal(flushes.calls, 1);
        flushes.must_be_parked = MFN_NONE;
        assert_int_equal(p2m.present_pages, 0);
        assert_int_equal(p2m.ballooned_pages, 0);
        assert_int_equal(free_frames() - p2m.promised, before);
        assert_int_equal(type_of(&p2m, 0x100), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0x200), P2M_UNTOUCHED);
        assert_int_equal(type_of(&p2m, 0xa0), P2M_HOLE);
        assert_ledger(&(struct p2m *){&p2m}, 1);
        p2m_reset(&p2m); /* nothing there: nothing to flush */
        assert_int_equal(flushes.calls, 1);
        p2m_destroy(&p2m);
        assert_int_equal(free_frames(), 200 - machine_core);
    }
}

struct walked {
    uint64_t count, present, ballooned;
    gfn_t last;
};

static void walked_page(void *ctx, gfn_t gfn, enum p2m_type type, mfn_t mfn)
{
    struct walked *w = ctx;

    assert_int_not_equal(type, P2M_HOLE);
    assert_true(w->count == 0 || gfn > w->last);
    assert_int_equal(type == P2M_PRESENT, mfn != MFN_NONE);
    if (type == P2M_PRESENT) assert_int_equal(frame_gfn(mfn), gfn);
    w->last = gfn;
    w->count++;
    w->present += type == P2M_PRESENT;
    w->ballooned += type == P2M_BALLOONED;
}

static void walks_see_all_ram_once(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        struct walked w = {0};
        struct p2m p2m;
        machine(100);
        make(&p2m, *f, 5);
        touch(&p2m, 0x9f);
        touch(&p2m, 0x433);
        FLUSH_BATCH(batch, &p2m);
        assert_int_equal(p2m_balloon(&p2m, 0x100000, &batch), P2M_GIVE_OK);
        p2m_walk(&p2m, 0, UINT64_MAX, walked_page, &w);
        assert_int_equal(w.count, PC_PAGES);
        assert_int_equal(w.present, 2);
        assert_int_equal(w.ballooned, 1);
        assert_int_equal(w.last, 0x100233);
        w = (struct walked){0};
        p2m_walk(&p2m, 0x9f, 0x101, walked_page, &w);
        assert_int_equal(w.count, 1 + 0x20 + 1);
        w = (struct walked){0};
        p2m_walk(&p2m, 0x433, 0x434, walked_page, &w);
        assert_int_equal(w.count, 1);
        w = (struct walked){0};
        p2m_walk(&p2m, 0x433, 0x433, walked_page, &w);
        p2m_walk(&p2m, 0xa0, 0xe0, walked_page, &w);
        p2m_walk(&p2m, 1ull << 40, 1ull << 41, walked_page, &w);
        assert_int_equal(w.count, 0);
        assert_int_equal(host_env_locks(), 0);
        /* A part of a wide entry. */
        machine(100);
        assert_true(p2m_create(&p2m, *f, 5, &(struct p2m_range){0, 3000}, 1));
        p2m_walk(&p2m, 700, 703, walked_page, &w);
        assert_int_equal(w.count, 3);
        assert_int_equal(w.last, 702);
    }
}

static void corrupt_maps_panic(void **state)
{
    struct p2m p2m;

    (void)state;
    machine(100);
    make(&p2m, &pt_format_ept, 5);
    const mfn_t mfn = touch(&p2m, 0x123);
    frame_pool.table[mfn].owner = 6;
    FLUSH_BATCH(batch, &p2m);
    assert_true(PANICS("it is guest, owner 6", (void)!p2m_balloon(&p2m, 0x123, &batch)));
    machine(100);
    make(&p2m, &pt_format_ept, 5);
    touch(&p2m, 0x123);
    unsigned level;
    *pt_find(p2m.format, p2m.root, 0x123, &level) = pt_leaf(p2m.format, 0xffffffffff000, 1, PT_RWX);
    assert_true(PANICS("beyond the last", (void)!p2m_balloon(&p2m, 0x123, &batch)));
    machine(100);
    make(&p2m, &pt_format_ept, 5);
    p2m.promised = 0;
    touch(&p2m, 0x123);
    assert_true(PANICS("more table pages than its worst case", (void)!p2m_balloon(&p2m, 0x200, &batch)));
}

const struct CMUnitTest p2m_tests[] = {
    cmocka_unit_test(worst_case_of_tables),
    cmocka_unit_test(creating_promises_and_marks),
    cmocka_unit_test(a_large_vm_costs_few_tables_untouched),
    cmocka_unit_test(bad_ranges_and_small_memory_are_refused),
    cmocka_unit_test(touching_gives_zeroed_frames_once),
    cmocka_unit_test(reading_and_writing_touch_as_the_guest_does),
    cmocka_unit_test(cmpxchg_replaces_only_what_it_knows),
    cmocka_unit_test(ballooning_parks_flushes_and_frees_in_this_order),
    cmocka_unit_test(ballooning_untouched_pages_needs_no_flush_and_no_free_frame),
    cmocka_unit_test(a_balloon_across_gibibytes_pops_whole),
    cmocka_unit_test(messages_are_taken_whole),
    cmocka_unit_test(an_open_obligation_panics),
    cmocka_unit_test(reset_forgets_everything),
    cmocka_unit_test(walks_see_all_ram_once),
    cmocka_unit_test(corrupt_maps_panic),
};
const size_t p2m_test_count = ARRAY_LEN(p2m_tests);
