/* SPDX-License-Identifier: MIT
 *
 * The ledger finds every kind of disagreement: each is planted once.
 */
#include "mem_machine.h"

static struct p2m map[2];
static struct p2m *const maps[2] = {&map[0], &map[1]};

/* Two VMs: pages 0 .. 9 of each are present, 20 .. 24 ballooned. Everything agrees. */
static void two_vms(const struct pt_format *f)
{
    machine(200);
    for (uint16_t i = 0; i < 2; i++) {
        FLUSH_BATCH(batch, &map[i]);
        assert_true(p2m_create(&map[i], f, (uint16_t)(i + 1), &(struct p2m_range){0, 1500}, 1));
        for (gfn_t gfn = 0; gfn < 10; gfn++) assert_int_equal(p2m_touch(&map[i], gfn, true), P2M_TOUCH_OK);
        for (gfn_t gfn = 20; gfn < 25; gfn++)
            assert_int_equal(p2m_balloon(&map[i], gfn, &batch), P2M_GIVE_OK);
        flush_discharge(&batch);
    }
    assert_ledger(maps, 2);
}

static uint64_t *entry_of(unsigned vm, gfn_t gfn)
{
    unsigned level;

    return pt_find(map[vm].format, map[vm].root, gfn, &level);
}

static mfn_t frame_of(unsigned vm, gfn_t gfn)
{
    return p2m_entry_mfn(map[vm].format, *entry_of(vm, gfn));
}

static struct frame *frame_entry(unsigned vm, gfn_t gfn)
{
    return &frame_pool.table[frame_of(vm, gfn)];
}

static mfn_t leaf_table_of(unsigned vm, gfn_t gfn)
{
    return (mfn_t)virt_to_hpa(entry_of(vm, gfn)) >> PAGE_SHIFT;
}

static void *table_entry_of(unsigned vm, gfn_t gfn, unsigned level)
{
    hpa_t table = map[vm].root;

    for (unsigned l = 4; l > level; l--) table = pt_address(map[vm].format, *pt_slot(table, l, gfn));
    return pt_slot(table, level, gfn);
}

/* ---- the plants ---- */

static void a_page_at_another_gfn(void)
{
    frame_entry(0, 3)->gfn = 4;
}
static void a_page_of_another_vm(void)
{
    frame_entry(0, 3)->owner = 2;
}
static void a_mapped_page_in_the_wrong_state(void)
{
    frame_entry(0, 3)->state = FRAME_CORE;
}
static void an_unknown_state(void)
{
    frame_entry(0, 3)->state = 15;
}
static void two_entries_for_one_page(void)
{
    *entry_of(0, 4) = *entry_of(0, 3);
}
static void two_vms_with_one_page(void)
{
    *entry_of(1, 3) = *entry_of(0, 3);
}
static void an_entry_beyond_ram(void)
{
    *entry_of(0, 3) = pt_leaf(map[0].format, 300ull << 12, 1, PT_RWX);
}
static void an_entry_into_free_memory(void)
{
    *entry_of(0, 3) = pt_leaf(map[0].format, (hpa_t)frame_pool.free_head << PAGE_SHIFT, 1, PT_RWX);
}
static void a_page_nobody_maps(void)
{
    *entry_of(0, 3) = pt_absent(map[0].format, P2M_UNTOUCHED);
    map[0].present_pages--;
}
static void a_page_that_became_ballooned(void)
{
    *entry_of(0, 3) = pt_absent(map[0].format, P2M_BALLOONED);
}
static void a_balloon_that_lost_a_page(void)
{
    *entry_of(0, 20) = pt_absent(map[0].format, P2M_UNTOUCHED);
}
static void ram_that_became_a_hole(void)
{
    *entry_of(0, 400) = 0;
}
static void a_hole_that_became_ram(void)
{
    *entry_of(0, 1500) = pt_absent(map[0].format, P2M_UNTOUCHED);
}
static void ram_far_above_the_limit(void)
{
    *entry_of(0, 1ull << 35) = pt_absent(map[0].format, P2M_BALLOONED);
}
static void an_entry_without_meaning(void)
{
    *entry_of(0, 400) = 0x5000;
}
static void a_present_type_in_a_non_present_entry(void)
{
    *entry_of(0, 400) = pt_absent(map[0].format, P2M_PRESENT);
}
static void a_large_leaf(void)
{
    *(uint64_t *)table_entry_of(0, 512, 2) = pt_leaf(map[0].format, 0, 2, PT_RWX);
}
static void a_table_used_twice(void)
{
    uint64_t *slot = table_entry_of(0, 1024, 2);
    slot[2] = slot[0];
}
static void a_table_of_another_vm(void)
{
    frame_pool.table[leaf_table_of(0, 0)].owner = 2;
}
static void a_table_that_is_free(void)
{
    frame_pool.table[leaf_table_of(0, 0)].state = FRAME_FREE;
}
static void a_table_beyond_ram(void)
{
    *(uint64_t *)table_entry_of(0, 0, 2) = 300ull << 12 | map[0].format->table;
}
static void a_root_of_another_vm(void)
{
    map[1].root = map[0].root;
}
static void a_table_nobody_uses(void)
{
    assert_true(frame_alloc(FRAME_TABLE, 1, 0) != MFN_NONE);
}
static void a_page_never_mapped(void)
{
    assert_true(frame_alloc(FRAME_GUEST, 1, 700) != MFN_NONE);
}
static void a_page_parked_for_ever(void)
{
    mfn_t list = MFN_NONE;
    frame_park(frame_alloc(FRAME_GUEST, 1, 700), 1, &list);
    frames_parked(1);
}
static void a_free_frame_off_the_list(void)
{
    frame_pool.free_head = frame_pool.table[frame_pool.free_head].next;
    frame_pool.table[frame_pool.free_head].prev = FRAME_NO_LINK;
}
static void a_circle_in_the_free_list(void)
{
    struct frame *first = &frame_pool.table[frame_pool.free_head];
    frame_pool.table[first->next].next = frame_pool.free_head;
}
static void a_free_list_into_a_guest(void)
{
    frame_pool.table[frame_pool.free_head].next = (uint32_t)frame_of(0, 3);
}
static void a_free_list_out_of_ram(void)
{
    frame_pool.table[frame_pool.free_head].next = 5000;
}
static void a_wrong_link_back(void)
{
    frame_pool.table[frame_pool.table[frame_pool.free_head].next].prev = 1;
}
static void a_wrong_count_of_free_frames(void)
{
    frame_pool.count[FRAME_FREE]++;
}
static void a_wrong_count_of_core_frames(void)
{
    frame_pool.count[FRAME_CORE]--;
}
static void a_wrong_count_of_table_frames(void)
{
    frame_pool.count[FRAME_TABLE]++;
}
static void a_wrong_count_of_all_frames(void)
{
    frame_pool.total--;
}
static void a_stocked_frame_off_its_stock(void)
{
    frame_stocks[0].count--;
}
static void a_frame_stocked_twice(void)
{
    frame_stocks[1].mfn[0] = frame_stocks[0].mfn[0];
    frame_stocks[1].count = 1;
}
static void a_guest_page_in_a_stock(void)
{
    frame_stocks[0].mfn[1] = (uint32_t)frame_of(1, 3);
}
static void a_stock_out_of_ram(void)
{
    frame_stocks[0].mfn[1] = 5000;
}
static void a_stock_overfull(void)
{
    frame_stocks[2].count = FRAME_HANDFUL + 1;
}
static void a_stock_at_the_cost_of_the_reserve(void)
{
    frame_pool.reserve = frame_pool.count[FRAME_FREE];
}
static void a_wrong_count_of_parked_frames(void)
{
    frame_pool.count[FRAME_PARKED]++;
}
static void a_wrong_promise(void)
{
    frame_pool.promised++;
}
static void a_wrong_promise_of_a_map(void)
{
    map[1].promised--;
}
static void a_promise_nobody_can_keep(void)
{
    map[0].promised += 500;
    frame_pool.promised += 500;
}
static void a_wrong_count_of_present_pages(void)
{
    map[1].present_pages++;
}
static void a_wrong_count_of_ballooned_pages(void)
{
    map[1].ballooned_pages--;
}
static void a_wrong_count_of_tables(void)
{
    map[1].table_pages++;
}
static void a_wrong_size(void)
{
    map[1].size_pages++;
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
    PLANT(a_page_at_another_gfn, "VM slot 1, gfn 0x3: page in frame"),
    PLANT(a_page_of_another_vm, "which VM slot 2 owns"),
    PLANT(a_mapped_page_in_the_wrong_state, "whose state is 2"),
    PLANT(an_unknown_state, "state 15 is none"),
    PLANT(two_entries_for_one_page, "VM slot 1, gfn 0x4: page in frame"),
    PLANT(two_vms_with_one_page, "VM slot 2, gfn 0x3: page in frame"),
    PLANT(an_entry_beyond_ram, "VM slot 1, gfn 0x3: page in frame 0x12c, which is beyond the last"),
    PLANT(an_entry_into_free_memory, "whose state is 1"),
    PLANT(a_page_nobody_maps, "is a page of VM slot 1, gfn 0x3, but not in its map"),
    PLANT(a_page_that_became_ballooned, "VM slot 1, present pages: the counter says 10, the walk met 9"),
    PLANT(a_balloon_that_lost_a_page, "VM slot 1, ballooned pages: the counter says 5, the walk met 4"),
    PLANT(ram_that_became_a_hole, "VM slot 1, RAM pages: the counter says 1500, the walk met 1499"),
    PLANT(a_hole_that_became_ram, "VM slot 1, RAM pages: the counter says 1500, the walk met 1501"),
    PLANT(ram_far_above_the_limit, "VM slot 1, ballooned pages"),
    PLANT(an_entry_without_meaning, "VM slot 1, gfn 0x190: non-present entry 0x5000 has no meaning"),
    PLANT(a_present_type_in_a_non_present_entry, "VM slot 1, gfn 0x190: non-present entry"),
    PLANT(a_large_leaf, "VM slot 1, gfn 0x200: leaf of level 2"),
    PLANT(a_table_used_twice, "mapped twice"),
    PLANT(a_table_of_another_vm, "table in frame"),
    PLANT(a_table_that_is_free, "table in frame"),
    PLANT(a_table_beyond_ram, "table in frame 0x12c, which is beyond the last"),
    PLANT(a_root_of_another_vm, "VM slot 2, gfn 0x0: table in frame"),
    PLANT(a_table_nobody_uses, "is a table of VM slot 1 but not in its map"),
    PLANT(a_page_never_mapped, "is a page of VM slot 1, gfn 0x2bc, but not in its map"),
    PLANT(a_page_parked_for_ever, "of VM slot 1 is parked"),
    PLANT(a_free_frame_off_the_list, "is free but not in the free list"),
    PLANT(a_circle_in_the_free_list, "free list: comes back to frame"),
    PLANT(a_free_list_into_a_guest, "is not free but in state 4 of VM slot 1"),
    PLANT(a_free_list_out_of_ram, "0x1388 as next, which is beyond the last"),
    PLANT(a_wrong_link_back, "names 0x1 as the one before"),
    PLANT(a_wrong_count_of_free_frames, "free frames: the counter says"),
    PLANT(a_wrong_count_of_core_frames, "core frames: the counter says 0, the walk met 1"),
    PLANT(a_wrong_count_of_table_frames, "table frames: the counter says"),
    PLANT(a_wrong_count_of_all_frames, "all frames: the counter says 199, the walk met 200"),
    PLANT(a_stocked_frame_off_its_stock, "is stocked but in no CPU's stock"),
    PLANT(a_frame_stocked_twice, "CPU 1: frame 0x"),
    PLANT(a_guest_page_in_a_stock, "CPU 0: frame 0x"),
    PLANT(a_stock_out_of_ram, "CPU 0: frame 0x1388 in its stock is not stocked"),
    PLANT(a_stock_overfull, "CPU 2: 33 frames in its stock"),
    PLANT(a_stock_at_the_cost_of_the_reserve, "frames are in stocks, and the pool does not hold"),
    PLANT(a_wrong_count_of_parked_frames, "parked frames: the counter says 1, the walk met 0"),
    PLANT(a_wrong_promise, "promised frames: the counter says"),
    PLANT(a_wrong_promise_of_a_map, "promised frames: the counter says"),
    PLANT(a_promise_nobody_can_keep, "frames are promised, "),
    PLANT(a_wrong_count_of_present_pages, "VM slot 2, present pages: the counter says 11, the walk met 10"),
    PLANT(a_wrong_count_of_ballooned_pages, "VM slot 2, ballooned pages: the counter says 4, the walk met 5"),
    PLANT(a_wrong_count_of_tables, "VM slot 2, table pages"),
    PLANT(a_wrong_size, "VM slot 2, RAM pages"),
};

static void every_plant_is_found(void **state)
{
    struct tithe_ledger ledger;

    (void)state;
    for (unsigned f = 0; f < 2; f++) {
        for (size_t i = 0; i < ARRAY_LEN(plants); i++) {
            two_vms(both_formats[f]);
            plants[i].plant();
            ledger_check(maps, 2, &ledger);
            if (!ledger.differences || !strstr(ledger.first, plants[i].words)) {
                fail_msg("%s: %lu differences, first: %s", plants[i].name, ledger.differences, ledger.first);
            }
            assert_int_equal(host_env_locks(), 0);
        }
    }
}

static void sums_are_those_of_the_machine(void **state)
{
    struct tithe_ledger ledger;

    (void)state;
    two_vms(&pt_format_ept);
    ledger_check(maps, 2, &ledger);
    assert_int_equal(ledger.total_pages, 200);
    assert_int_equal(ledger.core_pages, 1);
    assert_int_equal(ledger.guest_pages, 20);
    assert_int_equal(ledger.table_pages, map[0].table_pages + map[1].table_pages);
    assert_int_equal(ledger.free_pages, 200 - 1 - 20 - ledger.table_pages);
    assert_int_equal(ledger.ballooned_entries, 10);
    assert_string_equal(ledger.first, "");
}

static void a_map_left_out_is_noticed(void **state)
{
    struct tithe_ledger ledger;

    (void)state;
    two_vms(&pt_format_npt);
    ledger_check(maps, 1, &ledger);
    /* Its tables, its pages, its promise. */
    assert_int_equal(ledger.differences, map[1].table_pages + 10 + 1);
    assert_non_null(strstr(ledger.first, "VM slot 2"));
    ledger_check(maps, 2, &ledger); /* looking changes nothing */
    assert_int_equal(ledger.differences, 0);
}

const struct CMUnitTest ledger_tests[] = {
    cmocka_unit_test(every_plant_is_found),
    cmocka_unit_test(sums_are_those_of_the_machine),
    cmocka_unit_test(a_map_left_out_is_noticed),
};
const size_t ledger_test_count = ARRAY_LEN(ledger_tests);
