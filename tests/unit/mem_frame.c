/* SPDX-License-Identifier: MIT
 *
 * The frame table and its allocator.
 */
#include "mem_machine.h"

static bool is_zero(mfn_t mfn)
{
    static const uint8_t zero[PAGE_BYTES];

    return memcmp(mfn_to_virt(mfn), zero, PAGE_BYTES) == 0;
}

static void entry_and_its_bucket_are_16_bytes(void **state)
{
    (void)state;
    assert_int_equal(frames_bytes(1), 16);
    assert_int_equal(frames_bytes(1000), 12000 + 512 * 4);
    for (mfn_t limit = 1; limit < FRAMES_MAX; limit = limit * 3 / 2 + 1)
        assert_true(frames_bytes(limit) <= 16 * limit);
}

static void counts_add_up(void **state)
{
    struct frame_counts c;

    (void)state;
    machine(100);
    frames_counts(&c);
    assert_int_equal(c.total, 100);
    assert_int_equal(c.core, 1);
    assert_int_equal(c.free, 99);
    const mfn_t core = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    const mfn_t table = frame_alloc(FRAME_TABLE, 3, 0);
    const mfn_t guest = frame_alloc(FRAME_GUEST, 3, 77);
    mfn_t list = MFN_NONE;
    const mfn_t parked = frame_alloc(FRAME_GUEST, 4, 78);
    frame_park(parked, 4, &list);
    frames_parked(1);
    frames_counts(&c);
    assert_int_equal(c.core, 2);
    assert_int_equal(c.table, 1);
    assert_int_equal(c.guest, 1);
    assert_int_equal(c.parked, 1);
    assert_int_equal(c.free, 95);
    assert_int_equal(c.total, 100);
    assert_int_equal(frame_state(core), FRAME_CORE);
    assert_int_equal(frame_state(table), FRAME_TABLE);
    assert_int_equal(frame_owner(table), 3);
    assert_int_equal(frame_state(guest), FRAME_GUEST);
    assert_int_equal(frame_owner(guest), 3);
    assert_int_equal(frame_gfn(guest), 77);
    assert_int_equal(frame_state(parked), FRAME_PARKED);
    assert_int_equal(frame_state(100), FRAME_ABSENT);
    frames_unpark(&list);
    assert_true(list == MFN_NONE);
    frame_free(core);
    frame_free(table);
    assert_int_equal(frame_owner(table), FRAME_OWNER_CORE);
    frames_counts(&c);
    assert_int_equal(c.free, 98);
    assert_int_equal(c.parked, 0);
}

static void frames_come_zeroed(void **state)
{
    mfn_t list = MFN_NONE;

    (void)state;
    machine(8);
    for (int round = 0; round < 3; round++) {
        mfn_t mfn[7];
        for (unsigned i = 0; i < 7; i++) {
            mfn[i] = frame_alloc(FRAME_GUEST, 1, i);
            assert_true(mfn[i] != MFN_NONE);
            assert_true(is_zero(mfn[i]));
            memset(mfn_to_virt(mfn[i]), 0x5a, PAGE_BYTES);
        }
        assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
        for (unsigned i = 0; i < 7; i++) frame_park(mfn[i], 1, &list);
        frames_parked(7);
        assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE); /* parked is not free */
        frames_unpark(&list);
    }
}

static void the_reserve_is_for_the_core(void **state)
{
    (void)state;
    machine(12); /* 11 free */
    frames_set_reserve(4);
    for (int i = 0; i < 7; i++) assert_true(frame_alloc(FRAME_GUEST, 1, 0) != MFN_NONE);
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
    assert_true(frame_alloc(FRAME_TABLE, 1, 0) == MFN_NONE);
    assert_false(frames_promise(1));
    for (int i = 0; i < 4; i++) assert_true(frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) != MFN_NONE);
    assert_true(frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) == MFN_NONE);
    /* A reserve larger than what is free promises nothing and wraps nowhere. */
    frames_set_reserve(UINT64_MAX - 5);
    assert_false(frames_promise(1));
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
}

static void promises_are_kept(void **state)
{
    (void)state;
    machine(12); /* 11 free */
    assert_true(frames_promise(5));
    assert_false(frames_promise(7));
    assert_true(frames_promise(6));
    assert_false(frames_promise(1));
    assert_true(frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) == MFN_NONE);
    assert_true(frame_alloc_run(1, 1) == MFN_NONE);
    frames_unpromise(2);
    assert_true(frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0) != MFN_NONE);
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) != MFN_NONE);
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
    for (int i = 0; i < 9; i++) {
        const mfn_t mfn = frame_alloc_promised(7);
        assert_int_equal(frame_state(mfn), FRAME_TABLE);
        assert_int_equal(frame_owner(mfn), 7);
    }
    assert_int_equal(free_frames(), 0);
    assert_true(PANICS("never promised", frame_alloc_promised(7)));
    machine(12);
    assert_true(PANICS("1 promised frames given back of 0", frames_unpromise(1)));
}

static void runs_are_aligned_zeroed_and_whole(void **state)
{
    (void)state;
    machine(64); /* 1 .. 63 free */
    const mfn_t hole = frame_alloc_run(1, 1);
    assert_int_equal(hole, 63); /* from the top */
    const mfn_t run = frame_alloc_run(8, 16);
    assert_int_equal(run % 16, 0);
    assert_int_equal(run, 48);
    for (mfn_t mfn = run; mfn < run + 8; mfn++) {
        assert_int_equal(frame_state(mfn), FRAME_CORE);
        assert_true(is_zero(mfn));
    }
    assert_int_equal(frame_alloc_run(7, 1), 56);
    assert_int_equal(frame_alloc_run(32, 16), 16);
    assert_true(frame_alloc_run(16, 16) == MFN_NONE); /* 1 .. 15 */
    assert_int_equal(frame_alloc_run(15, 1), 1);
    assert_int_equal(free_frames(), 0);
    assert_true(frame_alloc_run(1, 1) == MFN_NONE);
    frame_free_run(run, 8);
    assert_int_equal(free_frames(), 8);
    assert_true(frame_alloc_run(9, 1) == MFN_NONE);
    assert_true(frame_alloc_run(UINT64_MAX, 1) == MFN_NONE);
    assert_int_equal(frame_alloc_run(8, 1), 48);
    assert_true(PANICS("a run of", frame_alloc_run(0, 1)));
}

static void misuse_panics(void **state)
{
    mfn_t list = MFN_NONE;

    (void)state;
    machine(20);
    const mfn_t core = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    const mfn_t guest = 1; /* the first that is handed out */
    frame_free(core);
    assert_true(PANICS("it is free", frame_free(core)));
    machine(20);
    assert_true(PANICS("beyond the last", frame_free(20)));
    machine(20);
    assert_true(PANICS("beyond the last", frame_free(MFN_NONE)));
    machine(20);
    assert_int_equal(frame_alloc(FRAME_GUEST, 2, 5), guest);
    assert_true(PANICS("it is guest, owner 2", frame_free(guest)));
    machine(20);
    assert_int_equal(frame_alloc(FRAME_GUEST, 2, 5), guest);
    assert_true(PANICS("it is guest, owner 2", frame_park(guest, 3, &list)));
    machine(20);
    assert_true(PANICS("it is core", frame_park(0, 0, &list)));
    machine(20);
    assert_true(PANICS("as free or core", frames_add(0, 1, FRAME_GUEST)));
    machine(20);
    assert_true(PANICS("cannot add frame 0x13", frames_add(10, 10, FRAME_CORE)));
    machine(20);
    assert_true(PANICS("as core, table or guest", frame_alloc(FRAME_PARKED, 1, 0)));
    host_env_reset(20);
    frames_init(direct_base, 20);
    assert_true(PANICS("it is absent", frame_free(3)));
    host_env_reset(20);
    frames_init(direct_base, 20);
    assert_true(PANICS("wrap", frames_add(5, UINT64_MAX - 1, FRAME_FREE)));
    host_env_reset(20);
    frames_init(direct_base, 20);
    assert_true(PANICS("beyond the last", frames_add(15, 6, FRAME_FREE)));
    assert_true(PANICS("8 TiB", frames_init(direct_base, FRAMES_MAX + 1)));
}

static void a_parked_frame_is_not_unparked_twice(void **state)
{
    mfn_t list = MFN_NONE;

    (void)state;
    machine(20);
    const mfn_t mfn = frame_alloc(FRAME_GUEST, 2, 5);
    frame_park(mfn, 2, &list);
    frames_parked(1);
    mfn_t again = list;
    frames_unpark(&list);
    frames_unpark(&list); /* an empty list is fine */
    assert_true(PANICS("cannot unpark", frames_unpark(&again)));
}

/* CPU 1 has a stock of a handful less one. */
static mfn_t stocked_machine(uint64_t frames)
{
    machine(frames);
    host_env_cpu(1);
    const mfn_t mfn = frame_alloc(FRAME_GUEST, 1, 0);
    host_env_cpu(0);
    assert_int_equal(frame_stocks[1].count, FRAME_HANDFUL - 1);
    return mfn;
}

static void stocks_are_filled_by_the_handful(void **state)
{
    struct frame_counts c;

    (void)state;
    const mfn_t first = stocked_machine(100);
    assert_int_equal(frame_state(first), FRAME_GUEST);
    frames_counts(&c);
    assert_int_equal(c.free, 98);
    assert_int_equal(c.guest, 1);
    assert_int_equal(c.total, 100);
    assert_int_equal(frame_pool.count[FRAME_FREE], 99 - FRAME_HANDFUL);
    host_env_cpu(1);
    for (unsigned i = 1; i < FRAME_HANDFUL; i++) {
        /* Low frames first, as from the pool. */
        assert_int_equal(frame_alloc(FRAME_GUEST, 1, i), first + i);
        assert_int_equal(frame_pool.count[FRAME_FREE], 99 - FRAME_HANDFUL);
    }
    assert_int_equal(frame_alloc(FRAME_GUEST, 1, 9), first + FRAME_HANDFUL);
    assert_int_equal(frame_pool.count[FRAME_FREE], 99 - 2 * FRAME_HANDFUL);
    assert_int_equal(frame_alloc(FRAME_TABLE, 1, 0), first + 2 * FRAME_HANDFUL); /* not from the stock */
    frames_counts(&c);
    assert_int_equal(c.free, 99 - FRAME_HANDFUL - 2);
    assert_int_equal(frames_contended(), 0);
    frame_pool.lock.contended = 3;
    frame_stocks[0].lock.contended = 4;
    frame_stocks[63].lock.contended = 5;
    assert_int_equal(frames_contended(), 3);
    assert_int_equal(frame_stock_contended(0), 4);
    assert_int_equal(frame_stock_contended(63), 5);
    frame_stocks[0].lock.contended = frame_stocks[63].lock.contended = 0;
}

static void what_others_have_in_stock_is_found(void **state)
{
    (void)state;
    /* By a guest of another CPU, to the last frame above the reserve. */
    stocked_machine(100);
    frames_set_reserve(7);
    for (unsigned i = 0; i < 98 - 7; i++) assert_true(frame_alloc(FRAME_GUEST, 2, i) != MFN_NONE);
    assert_true(frame_alloc(FRAME_GUEST, 2, 0) == MFN_NONE);
    host_env_cpu(1);
    assert_true(frame_alloc(FRAME_GUEST, 2, 0) == MFN_NONE);
    assert_int_equal(free_frames(), 7);
    /* By the core, which may have the reserve. */
    stocked_machine(100);
    frames_set_reserve(7);
    for (unsigned i = 0; i < 98; i++) assert_true(frame_alloc(FRAME_CORE, 0, 0) != MFN_NONE);
    assert_true(frame_alloc(FRAME_CORE, 0, 0) == MFN_NONE);
    /* By a run. */
    const mfn_t first = stocked_machine(100);
    assert_int_equal(frame_alloc_run(98, 1), first + 1);
    /* In the way of a run. */
    stocked_machine(100);
    assert_true(frame_alloc_run(64, 32) == 32);
    /* By promises. */
    stocked_machine(100);
    assert_false(frames_promise(99));
    assert_true(frames_promise(98));
    for (unsigned i = 0; i < 98; i++) (void)frame_alloc_promised(3);
    assert_int_equal(free_frames(), 0);
}

static void a_stock_does_not_outlive_a_new_reserve(void **state)
{
    (void)state;
    stocked_machine(100);
    frames_set_reserve(98 - FRAME_HANDFUL + 1); /* what the pool holds */
    assert_int_equal(frame_stocks[1].count, FRAME_HANDFUL - 1);
    frames_set_reserve(98 - FRAME_HANDFUL + 2);
    assert_int_equal(frame_stocks[1].count, 0);
    host_env_cpu(1);
    for (unsigned i = 0; i < FRAME_HANDFUL - 2; i++) {
        assert_true(frame_alloc(FRAME_GUEST, 1, i) != MFN_NONE);
        assert_int_equal(frame_stocks[1].count, 0); /* too little left for handfuls */
    }
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
    frames_set_reserve(UINT64_MAX);
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
    /* The core into the reserve: what guests may not have any more is not in a stock, either. */
    stocked_machine(100);
    frames_set_reserve(98 - FRAME_HANDFUL + 1);
    assert_true(frame_alloc(FRAME_CORE, 0, 0) != MFN_NONE);
    assert_int_equal(frame_stocks[1].count, 0);
    for (unsigned i = 0; i < FRAME_HANDFUL - 2; i++) assert_true(frame_alloc(FRAME_GUEST, 1, i) != MFN_NONE);
    assert_true(frame_alloc(FRAME_GUEST, 1, 0) == MFN_NONE);
}

static void no_stock_is_filled_while_they_are_gathered(void **state)
{
    (void)state;
    stocked_machine(200);
    frame_pool.gathering = 1; /* another CPU is about it */
    assert_true(frame_alloc(FRAME_GUEST, 2, 0) != MFN_NONE);
    assert_int_equal(frame_stocks[0].count, 0);
    frame_pool.gathering = 0;
    assert_true(frame_alloc(FRAME_GUEST, 2, 0) != MFN_NONE);
    assert_int_equal(frame_stocks[0].count, FRAME_HANDFUL - 1);
}

static void corrupt_stocks_panic(void **state)
{
    (void)state;
    stocked_machine(100);
    frame_pool.table[frame_stocks[1].mfn[5]].state = FRAME_GUEST;
    assert_true(PANICS("cannot gather", !frames_promise(98)));
    stocked_machine(100);
    frame_pool.table[frame_stocks[1].mfn[FRAME_HANDFUL - 2]].state = FRAME_GUEST;
    host_env_cpu(1);
    assert_true(PANICS("cannot allocate", frame_alloc(FRAME_GUEST, 1, 0)));
    machine(100);
    frame_pool.table[frame_pool.free_head].state = FRAME_CORE;
    assert_true(PANICS("cannot stock", frame_alloc(FRAME_GUEST, 1, 0)));
}

/* More than is freed under one hold of the lock. */
static void long_lists_are_freed_whole(void **state)
{
    mfn_t list = MFN_NONE;

    (void)state;
    machine(1500);
    for (unsigned i = 0; i < 1000; i++) frame_park(frame_alloc(FRAME_GUEST, 1, i), 1, &list);
    frames_parked(1000);
    frames_unpark(&list);
    assert_int_equal(free_frames(), 1500 - machine_core);
    const mfn_t run = frame_alloc_run(1000, 1);
    frame_free_run(run, 1000);
    assert_ledger(NULL, 0);
}

const struct CMUnitTest frame_tests[] = {
    cmocka_unit_test(entry_and_its_bucket_are_16_bytes),
    cmocka_unit_test(counts_add_up),
    cmocka_unit_test(frames_come_zeroed),
    cmocka_unit_test(the_reserve_is_for_the_core),
    cmocka_unit_test(promises_are_kept),
    cmocka_unit_test(runs_are_aligned_zeroed_and_whole),
    cmocka_unit_test(misuse_panics),
    cmocka_unit_test(a_parked_frame_is_not_unparked_twice),
    cmocka_unit_test(stocks_are_filled_by_the_handful),
    cmocka_unit_test(what_others_have_in_stock_is_found),
    cmocka_unit_test(a_stock_does_not_outlive_a_new_reserve),
    cmocka_unit_test(no_stock_is_filled_while_they_are_gathered),
    cmocka_unit_test(corrupt_stocks_panic),
    cmocka_unit_test(long_lists_are_freed_whole),
};
const size_t frame_test_count = ARRAY_LEN(frame_tests);
