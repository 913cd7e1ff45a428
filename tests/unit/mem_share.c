/* SPDX-License-Identifier: MIT
 *
 * Sharing, case by case.
 */
#include "mem/permute.h"
#include "mem/share_table.h"
#include "mem_machine.h"

#define EACH_FORMAT(f) for (const struct pt_format *const *f = both_formats; f < both_formats + 2; f++)
#define VMS            3u
#define PAGES          700u

static struct p2m map[VMS];
static struct p2m *const maps[VMS] = {&map[0], &map[1], &map[2]};
static struct share_scan scans[VMS];
static unsigned flushes;
static void (*in_flush)(struct p2m *p2m); /* before it is done; called once */

static void flush(struct p2m *p2m)
{
    void (*const act)(struct p2m *) = in_flush;

    flushes++;
    assert_int_equal(host_env_locks(), 0);
    in_flush = NULL;
    if (act) act(p2m);
}

/* VMs in one group, all of whose contents are the test's. */
static void vms(const struct pt_format *f)
{
    machine(2600);
    for (unsigned i = 0; i < VMS; i++) {
        assert_true(p2m_create(&map[i], f, (uint16_t)(i + 1), &(struct p2m_range){0, PAGES}, 1));
        map[i].flush = flush;
        share_set_group(&map[i], 7);
        scans[i] = (struct share_scan){.order = SHARE_SEQUENTIAL};
    }
    in_flush = NULL;
    flushes = 0;
}

static void put(unsigned vm, gfn_t gfn, uint64_t word)
{
    uint64_t words[PAGE_BYTES / 8];

    for (unsigned i = 0; i < ARRAY_LEN(words); i++) words[i] = word;
    assert_int_equal(p2m_write(&map[vm], gfn << PAGE_SHIFT, words, PAGE_BYTES), P2M_TOUCH_OK);
}

static uint64_t get(unsigned vm, gfn_t gfn)
{
    uint64_t word;

    assert_int_equal(p2m_read(&map[vm], gfn << PAGE_SHIFT, &word, 8), P2M_TOUCH_OK);
    return word;
}

static enum p2m_type type(unsigned vm, gfn_t gfn)
{
    mfn_t mfn;

    return p2m_lookup(&map[vm], gfn, &mfn);
}

static mfn_t frame(unsigned vm, gfn_t gfn)
{
    mfn_t mfn = MFN_NONE;

    (void)p2m_lookup(&map[vm], gfn, &mfn);
    return mfn;
}

/* A whole pass over each of the VMs named by bits. */
static void pass(unsigned vm_bits)
{
    for (unsigned i = 0; i < VMS; i++) {
        const uint64_t passes = scans[i].passes;
        while (vm_bits & 1u << i && scans[i].passes == passes) (void)share_scan(&map[i], &scans[i], 5);
    }
    assert_ledger(maps, VMS);
}

static struct share_counts counts(void)
{
    struct share_counts c;

    share_counts(&c);
    return c;
}

static void equal_pages_share_a_frame(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        vms(*f);
        const uint64_t before = free_frames();
        put(0, 3, 111);
        put(0, 4, 222);
        put(1, 9, 111);
        put(2, 600, 111);
        pass(1);
        assert_int_equal(map[0].sharing.hints, 2);
        assert_int_equal(flushes, 0); /* what leaves a hint is not touched */
        pass(2 | 4);
        assert_int_equal(map[1].sharing.hint_hits, 1);
        assert_int_equal(map[2].sharing.hits, 1);
        assert_int_equal(map[2].sharing.scanned, 1);
        assert_int_equal(type(0, 3), P2M_SHARED);
        assert_int_equal(type(0, 4), P2M_PRESENT);
        assert_int_equal(frame(0, 3), frame(1, 9));
        assert_int_equal(frame(0, 3), frame(2, 600));
        assert_int_equal(counts().frames, 1);
        assert_int_equal(counts().entries, 3);
        assert_int_equal(before - free_frames(), 2 + 2); /* frames, and tables of VMs 0 and 1 */
        struct frame_counts c;
        frames_counts(&c);
        assert_int_equal(c.guest, 2);
        assert_int_equal(c.shared, 1);
        pass(1 | 2 | 4);
        assert_int_equal(map[0].sharing.scanned, 3); /* shared pages are not looked at again */
        assert_int_equal(get(1, 9), 111);
        assert_int_equal(type(1, 9), P2M_SHARED);
    }
}

static void a_write_breaks_what_is_shared(void **state)
{
    (void)state;
    EACH_FORMAT(f)
    {
        vms(*f);
        for (unsigned i = 0; i < VMS; i++) put(i, 5, 111);
        pass(1 | 2 | 4);
        const mfn_t mfn = frame(0, 5);
        assert_int_equal(p2m_touch(&map[1], 5, false), P2M_TOUCH_OK);
        assert_int_equal(type(1, 5), P2M_SHARED);
        flushes = 0;
        assert_int_equal(p2m_touch(&map[1], 5, true), P2M_TOUCH_OK);
        assert_int_equal(flushes, 1);
        assert_int_equal(type(1, 5), P2M_PRESENT);
        assert_int_not_equal(frame(1, 5), mfn);
        assert_int_equal(get(1, 5), 111);
        put(0, 5, 222);
        assert_int_equal(get(2, 5), 111);
        flushes = 0;
        put(2, 5, 333); /* the last that shares it keeps it */
        assert_int_equal(flushes, 0);
        assert_int_equal(frame(2, 5), mfn);
        assert_int_equal(get(0, 5), 222);
        assert_int_equal(get(1, 5), 111);
        assert_int_equal(counts().frames, 0);
        for (unsigned i = 0; i < VMS; i++) assert_int_equal(map[i].sharing.breaks, 1);
        assert_ledger(maps, VMS);
    }
}

static mfn_t stays;

static void frame_stays(struct p2m *p2m)
{
    (void)p2m;
    assert_int_equal(frame_state(stays), FRAME_SHARED);
}

static void a_frame_outlives_the_flush(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    put(0, 5, 111);
    put(1, 5, 111);
    pass(1 | 2);
    stays = frame(0, 5);
    FLUSH_BATCH(batch, &map[0]);
    assert_int_equal(p2m_balloon(&map[0], 5, &batch), P2M_GIVE_OK);
    assert_int_equal(counts().entries, 1);
    /* The other may not have it for its own yet. */
    put(1, 5, 222);
    assert_int_not_equal(frame(1, 5), stays);
    in_flush = frame_stays;
    flush_discharge(&batch);
    assert_int_equal(frame_state(stays), FRAME_FREE);
    assert_ledger(maps, VMS);
}

static void nobody_writes_to_a_copy_before_the_flush(struct p2m *p2m)
{
    unsigned level;
    const uint64_t entry = *p2m_find(p2m, 5, &level);

    assert_true(pt_present(p2m->format, entry) && !(entry & (p2m->format->write | PT_SHARED)));
    assert_int_equal(get(0, 5), 111);
    put(0, 5, 222); /* another vCPU is quicker, with a flush of its own */
}

static void a_copy_is_read_only_till_the_flush(void **state)
{
    (void)state;
    vms(&pt_format_npt);
    put(0, 5, 111);
    put(1, 5, 111);
    pass(1 | 2);
    flushes = 0;
    in_flush = nobody_writes_to_a_copy_before_the_flush;
    assert_int_equal(p2m_touch(&map[0], 5, true), P2M_TOUCH_OK);
    assert_int_equal(flushes, 2);
    assert_int_equal(get(0, 5), 222);
    assert_ledger(maps, VMS);
}

static void no_memory_for_a_copy(void **state)
{
    (void)state;
    vms(&pt_format_npt);
    put(0, 5, 111);
    put(1, 5, 111);
    pass(1 | 2);
    frames_set_reserve(free_frames());
    assert_int_equal(p2m_touch(&map[0], 5, true), P2M_TOUCH_NO_MEMORY);
    assert_int_equal(type(0, 5), P2M_SHARED);
    assert_int_equal(p2m_touch(&map[0], 5, false), P2M_TOUCH_OK);
    frames_set_reserve(0);
    put(0, 5, 222);
    assert_ledger(maps, VMS);
}

static void zero_pages(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    for (gfn_t gfn = 0; gfn < 100; gfn++) put(0, gfn, 0);
    pass(1);
    pass(1);
    assert_int_equal(counts().zero_entries, 100);
    assert_int_equal(counts().frames, 1);
    assert_int_equal(map[0].sharing.zeros, 100);
    /* Broken without a look at what it is a copy of. */
    memset((uint8_t *)mfn_to_virt(frame(0, 1)) + 8, 0x55, 8);
    assert_int_equal(p2m_touch(&map[0], 50, true), P2M_TOUCH_OK);
    uint64_t word;
    assert_int_equal(p2m_read(&map[0], 50 << PAGE_SHIFT | 8, &word, 8), P2M_TOUCH_OK);
    assert_int_equal(word, 0);
    assert_int_equal(counts().zero_entries, 99);
}

static void groups_do_not_meet(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    share_set_group(&map[1], SHARE_ALONE);
    share_set_group(&map[2], 8);
    for (unsigned i = 0; i < VMS; i++) {
        put(i, 5, 111);
        put(i, 6, 111);
        put(i, 7, 0);
        put(i, 8, 0);
    }
    pass(1 | 2 | 4);
    pass(1 | 2 | 4);
    assert_int_equal(counts().frames, 6);
    assert_int_equal(counts().entries, 12);
    share_set_group(&map[1], 8); /* from now on */
    put(1, 9, 111);
    pass(2);
    assert_int_equal(frame(1, 9), frame(2, 5));
    assert_int_not_equal(frame(1, 5), frame(2, 5));
    assert_true(PANICS("share group 128", share_set_group(&map[1], 128)));
}

static void leave_group(struct p2m *p2m)
{
    (void)p2m;
    share_set_group(&map[0], 9);
}

static void leave_group_2(struct p2m *p2m)
{
    (void)p2m;
    share_set_group(&map[1], 9);
}

static void a_group_that_is_left_meanwhile(void **state)
{
    (void)state;
    for (unsigned hinted = 0; hinted < 2; hinted++) {
        vms(&pt_format_ept);
        put(0, 5, 111);
        put(1, 5, 111);
        if (!hinted) {
            put(2, 5, 111);
            pass(2 | 4); /* so that there is a shared frame for it */
        } else {
            pass(2);
        }
        in_flush = hinted ? leave_group_2 : leave_group;
        pass(1);
        assert_int_equal(type(0, 5), P2M_PRESENT);
        /* And nothing has become of it. */
        unsigned level;
        assert_true(*p2m_find(&map[0], 5, &level) & map[0].format->write);
        if (hinted) assert_true(*p2m_find(&map[1], 5, &level) & map[1].format->write);
    }
}

static void write_to_the_hinted(struct p2m *p2m)
{
    (void)p2m;
    put(0, 5, 222);
}

static void write_to_the_candidate(struct p2m *p2m)
{
    (void)p2m;
    put(1, 5, 222);
}

static void be_protected_by_another(struct p2m *p2m)
{
    unsigned level;

    put(1, 5, 111);
    (void)p2m_protect(p2m, p2m_find(p2m, 5, &level));
}

static void writes_in_between_win(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        vms(&pt_format_ept);
        put(0, 5, 111);
        put(1, 5, 111);
        pass(1);
        in_flush = i ? write_to_the_candidate : write_to_the_hinted;
        pass(2);
        assert_int_equal(get(0, 5), i ? 111 : 222);
        assert_int_equal(get(1, 5), i ? 222 : 111);
        assert_int_equal(map[1].sharing.hint_hits, 0);
    }
    /* Nor is a protection by another scan, whose flush may still be to come, one's own. */
    vms(&pt_format_ept);
    put(0, 5, 111);
    put(1, 5, 111);
    pass(1);
    in_flush = be_protected_by_another;
    (void)share_scan(&map[1], &scans[1], 1);
    assert_int_equal(type(1, 5), P2M_PRESENT);
    /* A hint that was wrong before anybody was stopped costs no flush of its VM. */
    vms(&pt_format_ept);
    put(0, 5, 111);
    put(1, 5, 111);
    pass(1);
    put(0, 5, 222);
    flushes = 0;
    pass(2);
    assert_int_equal(counts().stale_hints, 1);
    assert_int_equal(type(0, 5), P2M_PRESENT);
}

static void a_full_compare_decides(void **state)
{
    (void)state;
    vms(&pt_format_npt);
    share_hash_bits(0);
    for (gfn_t gfn = 0; gfn < 60; gfn++) put(0, gfn, 1000 + gfn / 2);
    for (unsigned i = 0; i < 4; i++) pass(1);
    assert_true(counts().compares_failed > 0);
    for (gfn_t gfn = 0; gfn < 60; gfn++) assert_int_equal(get(0, gfn), 1000 + gfn / 2);
}

static void chains_are_bounded(void **state)
{
    (void)state;
    vms(&pt_format_npt);
    /* All in one bucket, but with hashes that differ: nothing matches, and all would stay. */
    share.bucket_mask = 0;
    for (gfn_t gfn = 0; gfn < 100; gfn++) put(0, gfn, 1000 + gfn);
    share.bucket[0] = CHAIN_END;
    pass(1);
    assert_int_equal(map[0].sharing.hints, CHAIN_MAX);
    assert_int_equal(counts().refused, 100 - CHAIN_MAX);
}

static void large_counts_are_bounded(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    share.count_max = 1;
    for (gfn_t gfn = 0; gfn < 600; gfn++) put(0, gfn, 1000 + gfn / 2);
    for (unsigned i = 0; i < 2; i++) pass(1);
    assert_int_equal(share.large_count, LARGE_COUNTS_MAX);
    assert_true(counts().refused > 0);
    assert_true(counts().entries <= 2 * LARGE_COUNTS_MAX + 44);
    for (gfn_t gfn = 0; gfn < 600; gfn++) put(0, gfn, get(0, gfn) + 1);
    assert_int_equal(share.large_count, 0);
    assert_ledger(maps, VMS);
}

static void large_counts_count(void **state)
{
    struct large_count *large;

    (void)state;
    vms(&pt_format_ept);
    share.count_max = 5;
    for (gfn_t gfn = 0; gfn < 200; gfn++) put(0, gfn, 0);
    pass(1);
    pass(1);
    const mfn_t mfn = frame(0, 0);
    assert_int_equal(share_count(mfn, &large), 200);
    assert_non_null(large);
    for (gfn_t gfn = 0; gfn < 199; gfn++) {
        put(0, gfn, 1);
        assert_int_equal(share_count(mfn, &large), 199 - gfn);
    }
    assert_null(large);
    p2m_destroy(&map[0]);
    assert_int_equal(frame_state(mfn), FRAME_FREE);
}

static void many_shared_pages_in_one_message(void **state)
{
    uint32_t gfns[300];

    (void)state;
    vms(&pt_format_ept);
    for (uint32_t gfn = 0; gfn < 300; gfn++) {
        gfns[gfn] = gfn;
        put(0, gfn, 1000 + gfn);
        put(1, gfn, 1000 + gfn);
    }
    pass(1 | 2);
    assert_int_equal(counts().frames, 300);
    flushes = 0;
    FLUSH_BATCH(batch, &map[0]);
    assert_int_equal(p2m_balloon_pages(&map[0], gfns, 200, &batch), 200);
    assert_int_equal(p2m_discard(&map[0], 200, 100, &batch), 100);
    flush_discharge(&batch);
    assert_int_equal(flushes, 300 / FLUSH_SHARED_MAX + 1);
    assert_int_equal(map[0].present_pages, 0);
    assert_int_equal(counts().entries, 300);
    assert_ledger(maps, VMS);
    flushes = 0;
    p2m_reset(&map[1]);
    assert_int_equal(flushes, 1); /* before; nothing is parked by an entry */
    assert_int_equal(counts().frames, 0);
    assert_ledger(maps, VMS);
}

static void orders_reach_every_page_once_a_pass(void **state)
{
    (void)state;
    for (unsigned order = 0; order < SHARE_ORDERS; order++) {
        vms(&pt_format_ept);
        for (gfn_t gfn = 0; gfn < 300; gfn++) put(0, gfn * 2, 1000 + gfn);
        scans[0].order = (enum share_order)order;
        /* Two rounds of the last order: what has a hint comes in the first. */
        for (unsigned i = 1; i < 3; i++) {
            pass(1);
            assert_int_equal(map[0].sharing.scanned, 300 * i);
        }
    }
    vms(&pt_format_ept);
    assert_true(
        PANICS("scan order 4", (void)share_scan(&map[0], &(struct share_scan){.order = SHARE_ORDERS}, 1)));
}

static void pages_that_were_unshared_come_last(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    for (gfn_t gfn = 0; gfn < 40; gfn++) put(0, gfn, 0);
    pass(1);
    pass(1);
    for (gfn_t gfn = 0; gfn < 20; gfn++) put(0, gfn, 1000 + gfn);
    for (gfn_t gfn = 40; gfn < 60; gfn++) put(0, gfn, 1000 + gfn);
    scans[0] = (struct share_scan){.order = SHARE_UNSHARED_LAST};
    const uint64_t scanned = map[0].sharing.scanned;
    while (!scans[0].second) (void)share_scan(&map[0], &scans[0], 1);
    assert_int_equal(map[0].sharing.scanned - scanned, 20);
    for (gfn_t gfn = 0; gfn < 20; gfn++) assert_true(frame_pool.table[frame(0, gfn)].state & FRAME_BROKEN);
    while (scans[0].second) (void)share_scan(&map[0], &scans[0], 1);
    assert_int_equal(map[0].sharing.scanned - scanned, 40);
}

static void a_call_is_bounded(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    for (gfn_t gfn = 0; gfn < 100; gfn++) put(0, gfn, gfn);
    assert_int_equal(share_scan(&map[0], &scans[0], 1000), SHARE_SCAN_MAX);
    assert_int_equal(share_scan(&map[0], &scans[0], 0), 0);
    /* Of pages that nobody touched it looks at some, and goes on another time. */
    scans[1].order = SHARE_RANDOM;
    assert_int_equal(share_scan(&map[1], &scans[1], 10), 0);
    assert_int_equal(scans[1].cursor, 160);
}

/* A quarter zeros, a quarter the same in all VMs, some the same within one, the rest all different. */
static uint64_t word_of(unsigned vm, gfn_t gfn)
{
    if (gfn % 4 == 0) return 0;
    if (gfn % 4 == 1) return 1000 + gfn;
    if (gfn % 16 == 2) return 2000 + gfn % 64 + vm * 100;
    return 10000 + vm * PAGES + gfn;
}

static void all_that_is_equal_is_found(void **state)
{
    (void)state;
    for (unsigned order = 0; order < SHARE_ORDERS; order++) {
        uint64_t saved = 0; /* what an offline comparison finds */
        vms(both_formats[order % 2]);
        for (unsigned vm = 0; vm < VMS; vm++) {
            scans[vm].order = (enum share_order)order;
            for (gfn_t gfn = 0; gfn < PAGES; gfn++) {
                bool seen = false;
                for (unsigned v = 0; v <= vm && !seen; v++)
                    for (gfn_t g = 0; g < (v < vm ? PAGES : gfn) && !seen; g++)
                        seen = word_of(v, g) == word_of(vm, gfn);
                saved += seen;
                put(vm, gfn, word_of(vm, gfn));
            }
        }
        for (unsigned i = 0; i < 3; i++) pass(1 | 2 | 4);
        const struct share_counts c = counts();
        assert_true((c.entries - c.frames) * 100 >= saved * 98);
        assert_true(c.entries - c.frames <= saved);
    }
}

static void maps_are_held(void **state)
{
    (void)state;
    vms(&pt_format_ept);
    assert_ptr_equal(p2m_hold(2), &map[1]);
    p2m_release(&map[1]);
    p2m_retire(&map[1]);
    assert_null(p2m_hold(2));
    assert_null(p2m_hold(0));
    assert_null(p2m_hold(1000));
    /* Its hints are no longer believed. */
    share_register(&map[1]);
    put(1, 5, 111);
    pass(2);
    p2m_retire(&map[1]);
    put(0, 5, 111);
    pass(1);
    assert_int_equal(type(1, 5), P2M_PRESENT);
    assert_int_equal(map[0].sharing.hint_hits, 0);
    p2m_destroy(&map[1]);
    assert_true(p2m_create(&map[1], &pt_format_ept, 2, &(struct p2m_range){0, PAGES}, 1));
    assert_true(PANICS("VM slot 2 has a map already",
                       (void)!p2m_create(&map[2], &pt_format_ept, 2, &(struct p2m_range){0, PAGES}, 1)));
    assert_true(PANICS("a map for VM slot 129",
                       (void)!p2m_create(&map[2], &pt_format_ept, 129, &(struct p2m_range){0, 1}, 1)));
}

static void a_permutation_of_a_pass_is_another_next_time(void **state)
{
    unsigned same = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++) same += permute(i, 1000, 1) == permute(i, 1000, 1 << 8 | 1);
    assert_true(same < 20);
}

/* ---- what the ledger finds ---- */

static void a_count_too_high(void)
{
    frame_pool.table[frame(0, 3)].count++;
}
static void a_count_too_low(void)
{
    frame_pool.table[frame(0, 3)].count--;
}
static void a_large_count_too_high(void)
{
    share.large[0].pieces++;
}
static void a_writable_entry(void)
{
    unsigned level;
    *p2m_find(&map[0], 3, &level) |= map[0].format->write;
}
static void a_private_entry(void)
{
    unsigned level;
    *p2m_find(&map[0], 3, &level) &= ~PT_SHARED;
}
static void a_shared_entry(void)
{
    unsigned level;
    *p2m_find(&map[0], 4, &level) |= PT_SHARED;
    *p2m_find(&map[0], 4, &level) &= ~map[0].format->write;
}
static void a_wrong_count_of_entries(void)
{
    share.entries++;
}
static void a_wrong_count_of_zero_entries(void)
{
    share.zero_entries--;
}
static void a_wrong_count_of_a_map(void)
{
    map[1].sharing.pages--;
}
static void a_wrong_count_of_shared_frames(void)
{
    frame_pool.count[FRAME_SHARED]++;
}
static void a_hint_off_its_chain(void)
{
    frame_pool.table[frame(0, 4)].state &= (uint8_t)~FRAME_HINTED;
}
static void a_chain_that_ends_elsewhere(void)
{
    uint32_t *at = &share.bucket[3];
    while (!(*at & CHAIN_END)) at = &frame_pool.table[*at].link;
    *at = CHAIN_END | 4;
}
static void a_chain_into_free_memory(void)
{
    share.bucket[3] = frame_pool.free_head;
}
static void a_chain_out_of_ram(void)
{
    share.bucket[3] = 5000;
}
static void a_flag_of_a_free_frame(void)
{
    frame_pool.table[frame_pool.free_head].state |= FRAME_ZERO;
}

#define PLANT(name, words)                                                                                   \
    {                                                                                                        \
        name, #name, words                                                                                   \
    }
static const struct {
    void (*plant)(void);
    const char *name;
    const char *words; /* of the first difference */
} plants[] = {
    PLANT(a_count_too_high, "counted 1 entries more than map it"),
    PLANT(a_count_too_low, "counted 32767 entries more than map it"),
    PLANT(a_large_count_too_high, "entries more than map it"),
    PLANT(a_writable_entry, "VM slot 1, gfn 0x3: shared, but writable"),
    PLANT(a_private_entry, "whose state is 7"),
    PLANT(a_shared_entry, "whose state is 4"),
    PLANT(a_wrong_count_of_entries, "entries of shared frames: the counter says"),
    PLANT(a_wrong_count_of_zero_entries, "entries of zero frames: the counter says"),
    PLANT(a_wrong_count_of_a_map, "VM slot 2, shared pages: the counter says 0, the walk met 1"),
    PLANT(a_wrong_count_of_shared_frames, "shared frames: the counter says 3, the walk met 2"),
    PLANT(a_hint_off_its_chain, "is neither shared nor a hint"),
    PLANT(a_chain_that_ends_elsewhere, "the chain of bucket 0x3 does not end there"),
    PLANT(a_chain_into_free_memory, "is neither shared nor a hint"),
    PLANT(a_chain_out_of_ram, "bucket 0x3: frame 0x1388 is beyond the last"),
    PLANT(a_flag_of_a_free_frame, "flags 0x80 in state 1"),
};

static void every_plant_is_found(void **state)
{
    struct tithe_ledger ledger;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
        vms(both_formats[i % 2]);
        share.count_max = 5;
        put(0, 3, 111);
        put(1, 3, 111);
        put(0, 4, 222);
        for (gfn_t gfn = 20; gfn < 40; gfn++) put(2, gfn, 0);
        pass(1 | 2 | 4);
        pass(4);
        plants[i].plant();
        for (unsigned again = 0; again < 2; again++) { /* looking changes nothing */
            ledger_check(maps, VMS, &ledger);
            if (!ledger.differences || !strstr(ledger.first, plants[i].words))
                fail_msg("%s: %lu differences, first: %s", plants[i].name, ledger.differences, ledger.first);
        }
    }
}

const struct CMUnitTest share_tests[] = {
    cmocka_unit_test(equal_pages_share_a_frame),
    cmocka_unit_test(a_write_breaks_what_is_shared),
    cmocka_unit_test(a_frame_outlives_the_flush),
    cmocka_unit_test(a_copy_is_read_only_till_the_flush),
    cmocka_unit_test(no_memory_for_a_copy),
    cmocka_unit_test(zero_pages),
    cmocka_unit_test(groups_do_not_meet),
    cmocka_unit_test(a_group_that_is_left_meanwhile),
    cmocka_unit_test(writes_in_between_win),
    cmocka_unit_test(a_full_compare_decides),
    cmocka_unit_test(chains_are_bounded),
    cmocka_unit_test(large_counts_are_bounded),
    cmocka_unit_test(large_counts_count),
    cmocka_unit_test(many_shared_pages_in_one_message),
    cmocka_unit_test(orders_reach_every_page_once_a_pass),
    cmocka_unit_test(pages_that_were_unshared_come_last),
    cmocka_unit_test(a_call_is_bounded),
    cmocka_unit_test(all_that_is_equal_is_found),
    cmocka_unit_test(maps_are_held),
    cmocka_unit_test(a_permutation_of_a_pass_is_another_next_time),
    cmocka_unit_test(every_plant_is_found),
};
const size_t share_test_count = ARRAY_LEN(share_tests);
