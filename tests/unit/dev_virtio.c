/* SPDX-License-Identifier: MIT
 *
 * virtio-mmio, its queues under honest and hostile drivers, and the balloon.
 */
#include "dev_virtio.h"

static void start_at(gpa_t base, unsigned first_queue, unsigned queues, uint64_t features)
{
    write32(base + 0x070, 0);
    write32(base + 0x070, 1);
    write32(base + 0x070, 3);
    for (unsigned i = 0; i < 2; i++) {
        write32(base + 0x024, i);
        write32(base + 0x020, (uint32_t)(features >> 32 * i));
    }
    write32(base + 0x070, 11);
    assert_int_equal(read32(base + 0x070), 11);
    for (unsigned i = 0; i < queues; i++) {
        write32(base + 0x030, i);
        write32(base + 0x038, RING_SIZE);
        write32(base + 0x080, DESC(first_queue + i));
        write32(base + 0x090, AVAIL(first_queue + i));
        write32(base + 0x0A0, USED(first_queue + i));
        write32(base + 0x044, 1);
        assert_int_equal(read32(base + 0x044), 1);
    }
    write32(base + 0x070, 15);
}

void driver_start(uint64_t features)
{
    start_at(VIRTIO_MMIO_BASE, 0, 4, features);
}

void blk_driver_start(void)
{
    static const uint8_t zero[0x3000];
    put(DESC(BLK_QUEUE), zero, sizeof zero);
    start_at(BLK_MMIO_BASE, BLK_QUEUE, 1, VIRTIO_F_VERSION_1);
}

void descriptor(unsigned queue, unsigned index, uint64_t gpa, uint32_t bytes, uint16_t flags, uint16_t next)
{
    const struct {
        uint64_t gpa;
        uint32_t bytes;
        uint16_t flags, next;
    } d = {gpa, bytes, flags, next};
    put(DESC(queue) + 16 * index, &d, sizeof d);
}

void make_available(unsigned queue, uint16_t head)
{
    uint16_t index;
    get(AVAIL(queue) + 2, &index, 2);
    put(AVAIL(queue) + 4 + 2 * (index % RING_SIZE), &head, 2);
    index++;
    put(AVAIL(queue) + 2, &index, 2);
}

void notify_queue(unsigned queue)
{
    reg_write(0x050, queue);
}

uint16_t used_index(unsigned queue)
{
    uint16_t index;
    get(USED(queue) + 2, &index, 2);
    return index;
}

static void the_transport_introduces_itself(void **state)
{
    (void)state;
    assert_int_equal(reg_read(0x000), 0x74726976);
    assert_int_equal(reg_read(0x004), 2);
    assert_int_equal(reg_read(0x008), 5);
    assert_int_equal(reg_read(0x010), 0x37);
    reg_write(0x014, 1);
    assert_int_equal(reg_read(0x010), 1);
    reg_write(0x014, 2);
    assert_int_equal(reg_read(0x010), 0);
    assert_int_equal(reg_read(0x034), VIRTQUEUE_SIZE_MAX);
    reg_write(0x030, 4);
    assert_int_equal(reg_read(0x034), 0);
    reg_write(0x030, UINT32_MAX);
    assert_int_equal(reg_read(0x044), 0);
    reg_write(0x044, 1);
    assert_int_equal(reg_read(0x0B0), UINT32_MAX);
    assert_int_equal(reg_read(0x070), 0);
}

static void features_must_be_offered_and_modern(void **state)
{
    (void)state;
    reg_write(0x070, 3);
    reg_write(0x070, 11);
    assert_int_equal(reg_read(0x070), 3); /* VERSION_1 was not accepted */
    reg_write(0x070, 15);
    assert_int_equal(reg_read(0x070), 3); /* nor DRIVER_OK without features */
    reg_write(0x024, 1);
    reg_write(0x020, 1);
    reg_write(0x024, 0);
    reg_write(0x020, 8); /* not offered */
    reg_write(0x070, 11);
    assert_int_equal(reg_read(0x070), 3);
    reg_write(0x020, 7);
    reg_write(0x070, 11);
    assert_int_equal(reg_read(0x070), 11);
    reg_write(0x020, 0xFFFFFFFF); /* too late */
    reg_write(0x070, 15);
    assert_int_equal(reg_read(0x070), 15);
    assert_int_equal(dm.driver_ups, 1);
    assert_int_equal(dm.platform.balloon_transport.driver_features, 7 | VIRTIO_F_VERSION_1);
    reg_write(0x070, 15 | VIRTIO_STATUS_NEEDS_RESET); /* not the driver's to set */
    assert_int_equal(reg_read(0x070), 15);
    assert_int_equal(dm.driver_ups, 1);
    reg_write(0x070, 0);
    assert_int_equal(dm.driver_downs, 1);
    reg_write(0x070, 0);
    assert_int_equal(dm.driver_downs, 1);
}

static void queues_are_checked_before_they_are_ready(void **state)
{
    (void)state;
    static const struct {
        uint32_t size, desc_low, desc_high, avail, used;
    } bad[] = {{0, 0, 0, 0, 0},
               {3, 0, 0, 0, 0},
               {256, 0, 0, 0, 0},
               {8, 8, 0, 0, 0},
               {8, 0, 0, 1, 0},
               {8, 0, 0, 0, 2},
               {8, 0xFFFFFFF0, 0xFFFFFFFF, 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        reg_write(0x030, 0);
        reg_write(0x044, 0);
        reg_write(0x038, bad[i].size);
        reg_write(0x080, bad[i].desc_low);
        reg_write(0x084, bad[i].desc_high);
        reg_write(0x090, bad[i].avail);
        reg_write(0x0A0, bad[i].used);
        reg_write(0x044, 1);
        if (reg_read(0x044) != 0) fail_msg("queue %zu was accepted", i);
    }
    driver_start(DRIVER_FEATURES);
    reg_write(0x030, 0);
    reg_write(0x038, 4); /* a ready queue does not change */
    reg_write(0x090, 2);
    reg_write(0x094, 2);
    reg_write(0x0A4, 2);
    reg_write(0x084, 2);
    assert_int_equal(dm.platform.balloon_transport.queue[0].size, RING_SIZE);
    assert_int_equal(dm.platform.balloon_transport.queue[0].avail, AVAIL(0));
}

static void odd_accesses_do_nothing(void **state)
{
    (void)state;
    uint64_t value;
    driver_start(DRIVER_FEATURES);
    assert_true(platform_mmio_read(&dm.platform, 0, VIRTIO_MMIO_BASE, 8, &value, 0));
    assert_int_equal(value, 0);
    assert_true(platform_mmio_read(&dm.platform, 0, VIRTIO_MMIO_BASE, 2, &value, 0));
    assert_int_equal(value, 0);
    assert_true(platform_mmio_write(&dm.platform, 0, VIRTIO_MMIO_BASE + 0x70, 1, 0, 0));
    assert_true(platform_mmio_write(&dm.platform, 0, VIRTIO_MMIO_BASE + 0x70, 8, 0, 0));
    assert_int_equal(reg_read(0x070), 15);
    assert_int_equal(reg_read(0x108), 0);
    assert_int_equal(reg_read(0xFFC), 0);
    reg_write(0x108, 1);
    notify_queue(3);
    notify_queue(UINT32_MAX);
    assert_int_equal(reg_read(0x070), 15);
}

/* Each breaks the rules in one way; the device must say that it needs a reset and touch nothing. */
static void assert_broken(unsigned queue)
{
    notify_queue(queue);
    assert_int_equal(reg_read(0x070) & VIRTIO_STATUS_NEEDS_RESET, VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(reg_read(0x060) & 2, 2);
    const size_t given = dm.given_count;
    notify_queue(queue);
    virtio_mmio_poll(&dm.platform.balloon_transport, 0);
    assert_int_equal(dm.given_count, given);
    reg_write(0x070, 15);
    assert_int_not_equal(reg_read(0x070) & VIRTIO_STATUS_NEEDS_RESET, 0);
    dev_machine_reset();
    driver_start(DRIVER_FEATURES);
}

static void hostile_rings(void **state)
{
    (void)state;
    uint16_t index = RING_SIZE + 1;
    driver_start(DRIVER_FEATURES);
    put(AVAIL(0) + 2, &index, 2); /* more than fit */
    assert_broken(0);

    make_available(0, RING_SIZE); /* a head outside of the table */
    assert_broken(0);

    descriptor(0, 0, BUFFER, 4, 1, RING_SIZE); /* a next outside of the table */
    make_available(0, 0);
    assert_broken(0);

    descriptor(0, 0, BUFFER, 4, 1, 1); /* a loop */
    descriptor(0, 1, BUFFER, 4, 1, 0);
    make_available(0, 0);
    assert_broken(0);

    descriptor(0, 0, BUFFER, 4, 4, 0); /* indirect, not negotiated */
    make_available(0, 0);
    assert_broken(0);

    descriptor(0, 0, BUFFER, 4, 2 | 1, 1); /* readable after writable */
    descriptor(0, 1, BUFFER, 4, 0, 0);
    make_available(0, 0);
    assert_broken(0);

    descriptor(0, 0, UINT64_MAX - 2, 4, 0, 0); /* wraps */
    make_available(0, 0);
    assert_broken(0);

    descriptor(0, 0, UINT64_MAX - 2, 4, 2, 0); /* even where nobody would write */
    make_available(0, 0);
    assert_broken(0);

    descriptor(0, 0, RAM_BYTES - 2, 4, 0, 0); /* past RAM */
    make_available(0, 0);
    assert_broken(0);

    descriptor(2, 0, RAM_BYTES - 2, 10, 0, 0);
    make_available(2, 0);
    assert_broken(2);
}

static void rings_outside_of_ram(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    dm.platform.balloon_transport.queue[0].avail = RAM_BYTES;
    assert_broken(0);
    dm.platform.balloon_transport.queue[0].desc = RAM_BYTES;
    make_available(0, 0);
    assert_broken(0);
    dm.platform.balloon_transport.queue[0].used = RAM_BYTES - 4;
    descriptor(0, 0, BUFFER, 4, 0, 0);
    make_available(0, 0);
    assert_broken(0);
}

static void indices_wrap(void **state)
{
    (void)state;
    const uint16_t near_end = 0xFFFE;
    driver_start(DRIVER_FEATURES);
    dm.platform.balloon_transport.queue[0].next_avail = near_end;
    dm.platform.balloon_transport.queue[0].next_used = near_end;
    put(AVAIL(0) + 2, &near_end, 2);
    for (uint16_t i = 0; i < 5; i++) {
        descriptor(0, i, BUFFER, 4, 0, 0);
        make_available(0, i);
    }
    notify_queue(0);
    assert_int_equal(used_index(0), 3);
    assert_int_equal(dm.given_count, 5);
}

static void interrupts_are_levels_until_acknowledged(void **state)
{
    (void)state;
    driver_start(DRIVER_FEATURES);
    apics_on();
    ioapic_set(GSI_VIRTIO, 0x50 | 1u << 15);
    descriptor(0, 0, BUFFER, 4, 0, 0);
    make_available(0, 0);
    notify_queue(0);
    assert_int_equal(reg_read(0x060), 1);
    assert_int_equal(lapic_pending(&dm.lapic[0]), 0x50);
    platform_balloon_target(&dm.platform, 7);
    assert_int_equal(reg_read(0x060), 3);
    reg_write(0x064, 1);
    assert_int_equal(dm.platform.ioapic.lines, 1u << GSI_VIRTIO);
    reg_write(0x064, 2);
    assert_int_equal(dm.platform.ioapic.lines, 0);
    const uint16_t no_interrupt = 1;
    put(AVAIL(0), &no_interrupt, 2);
    make_available(0, 0);
    notify_queue(0);
    assert_int_equal(reg_read(0x060), 0);
    assert_int_equal(used_index(0), 2);
}

const struct CMUnitTest virtio_tests[] = {
    TEST(the_transport_introduces_itself),
    TEST(features_must_be_offered_and_modern),
    TEST(queues_are_checked_before_they_are_ready),
    TEST(odd_accesses_do_nothing),
    TEST(hostile_rings),
    TEST(rings_outside_of_ram),
    TEST(indices_wrap),
    TEST(interrupts_are_levels_until_acknowledged),
};
const size_t virtio_test_count = ARRAY_LEN(virtio_tests);
