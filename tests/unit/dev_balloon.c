/* SPDX-License-Identifier: MIT
 *
 * The balloon device.
 */
#include "dev_virtio.h"

static const struct virtio_balloon *b = &dm.platform.balloon;

static void pfns(gpa_t at, uint32_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t pfn = first + i;
        put(at + 4ull * i, &pfn, 4);
    }
}

static void one_message_is_one_call(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    pfns(BUFFER, 1000, 256);
    descriptor(0, 3, BUFFER, 1024, 0, 0);
    make_available(0, 3);
    notify_queue(0);
    assert_int_equal(dm.gives, 1);
    assert_int_equal(dm.given_count, 256);
    assert_int_equal(dm.given[255], 1255);
    assert_int_equal(used_index(0), 1);
    uint32_t element[2];
    get(USED(0) + 4, element, 8);
    assert_int_equal(element[0], 3);
    assert_int_equal(element[1], 0);
    assert_int_equal(b->inflated_pfns, 256);

    make_available(1, 3);
    descriptor(1, 3, BUFFER, 1024, 0, 0);
    notify_queue(1);
    assert_int_equal(dm.takes, 1);
    assert_int_equal(dm.taken[0], 1000);
    assert_int_equal(b->deflated_pfns, 256);
    assert_int_equal(b->messages, 2);
}

static void a_message_may_come_in_pieces(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    pfns(BUFFER, 10, 6);
    descriptor(0, 0, BUFFER, 6, 1, 1); /* a PFN across two descriptors */
    descriptor(0, 1, BUFFER + 6, 0, 1, 2);
    descriptor(0, 2, BUFFER + 6, 20, 0, 0); /* and half a PFN at the end */
    make_available(0, 0);
    notify_queue(0);
    assert_int_equal(dm.given_count, 6);
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(dm.given[i], 10 + i);
}

static void empty_and_write_only_messages_are_given_back(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    descriptor(0, 0, BUFFER, 0, 0, 0);
    descriptor(0, 1, BUFFER, 64, 2, 0);
    make_available(0, 0);
    make_available(0, 1);
    notify_queue(0);
    assert_int_equal(used_index(0), 2);
    assert_int_equal(dm.gives, 0);
}

static void work_is_bounded_and_goes_on_later(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        descriptor(0, i, BUFFER, 16384, 0, 0); /* 4,096 PFNs each */
        make_available(0, i);
    }
    notify_queue(0);
    assert_int_equal(used_index(0), 4);
    assert_int_equal(platform_poll(&dm.platform, dm.now_ns), dm.now_ns);
    assert_int_equal(used_index(0), 8);
    platform_poll(&dm.platform, dm.now_ns);
    platform_poll(&dm.platform, dm.now_ns);
    assert_int_equal(used_index(0), 16);
    platform_poll(&dm.platform, dm.now_ns);
    assert_int_equal(platform_poll(&dm.platform, dm.now_ns), NO_DEADLINE);
    assert_int_equal(b->inflated_pfns, 16 * 4096);
    /* One message that claims 3 MiB of PFNs: the rest of it is not looked at. */
    descriptor(0, 0, BUFFER, 3 * MIB, 0, 0);
    make_available(0, 0);
    notify_queue(0);
    assert_int_equal(b->inflated_pfns, 16 * 4096 + BALLOON_WORK_PFNS);
    assert_int_equal(used_index(0), 17);
}

static void a_reset_drops_work_left_over(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    for (uint16_t i = 0; i < RING_SIZE; i++) {
        descriptor(0, i, BUFFER, 16384, 0, 0);
        make_available(0, i);
    }
    notify_queue(0);
    reg_write(0x070, 0);
    assert_int_equal(dm.driver_downs, 1);
    assert_int_equal(platform_poll(&dm.platform, dm.now_ns), NO_DEADLINE);
}

/* Linux kicks its statistics queue before it sets DRIVER_OK, when the device must not look. */
static void what_was_kicked_too_early_is_seen_later(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    dm.platform.balloon_transport.status &= ~VIRTIO_STATUS_DRIVER_OK;
    descriptor(2, 0, BUFFER, 10, 0, 0);
    make_available(2, 0);
    notify_queue(2);
    assert_int_equal(b->stats.updated_ns, 0);
    reg_write(0x070, 15);
    platform_poll(&dm.platform, dm.now_ns);
    assert_int_equal(b->stats.updated_ns, dm.now_ns);
}

static void the_target_is_told(void **state)
{
    (void)state;
    platform_balloon_target(&dm.platform, 5); /* nobody there yet */
    assert_int_equal(reg_read(0x060), 0);
    driver_start(DRIVER_FEATURES);
    assert_int_equal(reg_read(0x100), 5);
    const uint32_t generation = reg_read(0x0FC);
    platform_balloon_target(&dm.platform, 0x12345678);
    assert_int_equal(reg_read(0x060), 2);
    assert_int_not_equal(reg_read(0x0FC), generation);
    assert_int_equal(reg_read(0x100), 0x12345678);
    uint64_t value;
    assert_true(platform_mmio_read(&dm.platform, 0, VIRTIO_MMIO_BASE + 0x102, 2, &value, 0));
    assert_int_equal(value, 0x1234);
    reg_write(0x064, 2);
    platform_balloon_target(&dm.platform, 0x12345678); /* no news */
    assert_int_equal(reg_read(0x060), 0);
    platform_balloon_target(&dm.platform, UINT64_MAX);
    assert_int_equal(reg_read(0x100), UINT32_MAX);
    reg_write(0x100, 1); /* the device's */
    assert_int_equal(reg_read(0x100), UINT32_MAX);
    reg_write(0x104, 99);
    assert_int_equal(b->actual, 99);
    assert_int_equal(reg_read(0x104), 99);
    reg_write(0x070, 0);
    assert_int_equal(b->actual, 0);
}

static void statistics(void **state)
{
    (void)state;
    const struct __attribute__((packed)) {
        uint16_t tag;
        uint64_t value;
    } stats[] = {{0, 100},     {1, 200},     {2, 3},       {3, 4}, {4, 5 << 12},
                 {5, 6 << 12}, {6, 7 << 12}, {7, 8 << 12}, {99, 1}};
    driver_start(DRIVER_FEATURES);
    assert_int_equal(b->stats.updated_ns, 0);
    assert_int_equal(b->stats.free_pages, UINT64_MAX);
    put(BUFFER, stats, sizeof stats);
    descriptor(2, 0, BUFFER, 10, 0, 0); /* the first alone */
    make_available(2, 0);
    dm.now_ns = 5555;
    notify_queue(2);
    assert_int_equal(b->stats.updated_ns, 5555);
    assert_int_equal(b->stats.swap_in_bytes, 100);
    assert_int_equal(b->stats.free_pages, UINT64_MAX);
    assert_int_equal(used_index(2), 0); /* kept */
    descriptor(2, 1, BUFFER, 10, 0, 0);
    make_available(2, 1);
    notify_queue(2);
    assert_int_equal(used_index(2), 0); /* a second buffer waits for its turn */

    platform_balloon_poll_stats(&dm.platform);
    assert_int_equal(used_index(2), 1);
    platform_balloon_poll_stats(&dm.platform); /* is not here now */
    assert_int_equal(used_index(2), 1);
    notify_queue(2);
    platform_balloon_poll_stats(&dm.platform);
    descriptor(2, 0, BUFFER, sizeof stats, 0, 0);
    make_available(2, 0);
    notify_queue(2);
    const struct tithe_guest_stats *s = &b->stats;
    assert_int_equal(s->swap_in_bytes, 100);
    assert_int_equal(s->swap_out_bytes, 200);
    assert_int_equal(s->major_faults, 3);
    assert_int_equal(s->minor_faults, 4);
    assert_int_equal(s->free_pages, 5);
    assert_int_equal(s->total_pages, 6);
    assert_int_equal(s->available_pages, 7);
    assert_int_equal(s->disk_cache_pages, 8);
    reg_write(0x070, 0);
    assert_int_equal(s->updated_ns, 0);
    platform_balloon_poll_stats(&dm.platform);
    assert_int_equal(used_index(2), 2);
}

static void a_machine_reset_resets_the_driver(void **state)
{
    (void)state;
    platform_balloon_target(&dm.platform, 17);
    driver_start(DRIVER_FEATURES);
    platform_reset(&dm.platform, dm.now_ns);
    assert_int_equal(dm.driver_downs, 1);
    assert_int_equal(reg_read(0x070), 0);
    assert_int_equal(reg_read(0x100), 17); /* the wish stays */
}

/* ---- free page reporting ---- */

#define REPORTING (DRIVER_FEATURES | 1u << 5)
#define POISONING (REPORTING | 1u << 4)
#define WRITE     2
#define NEXT      1

static void report(uint64_t gpa, uint32_t bytes)
{
    descriptor(3, 0, gpa, bytes, WRITE, 0);
    make_available(3, 0);
    notify_queue(3);
}

static void free_pages_are_taken_and_given_back(void **state)
{
    (void)state;
    driver_start(REPORTING);
    descriptor(3, 0, 2 * MIB, 2 * MIB, WRITE | NEXT, 1);
    descriptor(3, 1, 8 * MIB, 4 * MIB, WRITE, 0);
    make_available(3, 0);
    notify_queue(3);
    assert_int_equal(dm.reports, 1);
    assert_int_equal(dm.reported[0].gfn, 512);
    assert_int_equal(dm.reported[0].count, 512);
    assert_int_equal(dm.reported[1].gfn, 2048);
    assert_int_equal(dm.reported[1].count, 1024);
    assert_int_equal(used_index(3), 1);
    assert_int_equal(b->reported_pages, 1536);
    assert_int_equal(dm.gives, 0);
}

static void only_whole_pages_are_taken(void **state)
{
    (void)state;
    driver_start(REPORTING);
    report(0x5001, 0x2fff); /* 6 and 7 */
    assert_int_equal(dm.reported[0].gfn, 6);
    assert_int_equal(dm.reported[0].count, 2);
    report(0x5fff, 0x1002); /* 6 */
    assert_int_equal(dm.reported[0].gfn, 6);
    assert_int_equal(dm.reported[0].count, 1);
    report(0x5001, 0x1ffe); /* one byte too few for any */
    report(0x5000, 0);
    report(0x5001, 10);
    assert_int_equal(dm.reports, 2);
    assert_int_equal(used_index(3), 5);
}

static void what_has_no_business_there_is_left_alone(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES); /* not negotiated */
    report(2 * MIB, 2 * MIB);
    assert_int_equal(used_index(3), 0);
    driver_start(REPORTING);
    put(AVAIL(3) + 2, "\0\0", 2);
    put(USED(3) + 2, "\0\0", 2);
    descriptor(3, 0, 2 * MIB, 2 * MIB, 0, 0); /* for the device to read */
    make_available(3, 0);
    notify_queue(3);
    assert_int_equal(used_index(3), 1);
    assert_int_equal(dm.reports, 0);
    descriptor(0, 0, 2 * MIB, 2 * MIB, WRITE, 0); /* in the wrong queue */
    make_available(0, 0);
    notify_queue(0);
    assert_int_equal(dm.gives + dm.reports, 0);
}

/* However much is claimed, and however often the same. */
static void reports_are_bounded(void **state)
{
    (void)state;
    driver_start(REPORTING);
    for (uint16_t i = 0; i < RING_SIZE; i++)
        descriptor(3, i, 1ull << 40, UINT32_MAX, WRITE | (i < RING_SIZE - 1 ? NEXT : 0), (uint16_t)(i + 1));
    make_available(3, 0);
    make_available(3, RING_SIZE - 1);
    make_available(3, RING_SIZE - 1);
    notify_queue(3);
    assert_int_equal(dm.reports, 1);
    assert_int_equal(dm.reported[0].count, BALLOON_REPORT_PAGES);
    assert_int_equal(dm.reported[RING_SIZE - 1].count, 0);
    assert_int_equal(used_index(3), 1);
    assert_int_equal(platform_poll(&dm.platform, dm.now_ns), dm.now_ns);
    assert_int_equal(used_index(3), 2);
    platform_poll(&dm.platform, dm.now_ns);
    assert_int_equal(used_index(3), 3);
    assert_int_equal(platform_poll(&dm.platform, dm.now_ns), NO_DEADLINE);
    report(UINT64_MAX - 4095, 4096); /* wraps */
    assert_int_equal(reg_read(0x070) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
}

/* A guest that fills free pages with a value finds it there again. */
static void poisoned_pages_keep_their_poison(void **state)
{
    (void)state;
    driver_start(POISONING);
    reg_write(0x10C, 0xaaaaaaaa);
    assert_int_equal(reg_read(0x10C), 0xaaaaaaaa);
    assert_int_equal(reg_read(0x108), 0);
    report(2 * MIB, 2 * MIB);
    assert_int_equal(dm.reports, 0);
    assert_int_equal(used_index(3), 1);
    reg_write(0x10C, 0); /* zeros are what we give */
    report(2 * MIB, 2 * MIB);
    assert_int_equal(dm.reports, 1);
    reg_write(0x10C, 1);
    reg_write(0x070, 0);
    assert_int_equal(reg_read(0x10C), 0);
}

const struct CMUnitTest balloon_tests[] = {
    TEST(one_message_is_one_call),
    TEST(a_message_may_come_in_pieces),
    TEST(empty_and_write_only_messages_are_given_back),
    TEST(work_is_bounded_and_goes_on_later),
    TEST(a_reset_drops_work_left_over),
    TEST(what_was_kicked_too_early_is_seen_later),
    TEST(the_target_is_told),
    TEST(statistics),
    TEST(a_machine_reset_resets_the_driver),
    TEST(free_pages_are_taken_and_given_back),
    TEST(only_whole_pages_are_taken),
    TEST(what_has_no_business_there_is_left_alone),
    TEST(reports_are_bounded),
    TEST(poisoned_pages_keep_their_poison),
};
const size_t balloon_test_count = ARRAY_LEN(balloon_tests);
