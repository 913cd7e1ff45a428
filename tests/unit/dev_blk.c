/* SPDX-License-Identifier: MIT
 *
 * The disk, under honest and hostile drivers. What moves the data is dev_machine: it is asked, and ends when told.
 */
#include "dev_virtio.h"

#define DATA   (BUFFER + 0x10000u)
#define STATUS (BUFFER + 0x8u)

#define blk_reg_read(offset)         read32(BLK_MMIO_BASE + (offset))
#define blk_reg_write(offset, value) write32(BLK_MMIO_BASE + (offset), (value))

static void header(uint32_t type, uint64_t sector)
{
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } h = {type, 0, sector};
    put(BUFFER + 0x100, &h, sizeof h);
}

static void start(void)
{
    dev_machine_add_disk();
    blk_driver_start();
}

/* A request of one segment of data; where things are may be changed before it is sent. */
static void make(uint32_t type, uint64_t sector, gpa_t data, uint32_t bytes)
{
    const uint8_t none = 0xFF;
    header(type, sector);
    put(STATUS, &none, 1);
    descriptor(BLK_QUEUE, 0, BUFFER + 0x100, 16, 1, 1);
    descriptor(BLK_QUEUE, 1, data, bytes, type == BLK_READ ? 3 : 1, 2);
    descriptor(BLK_QUEUE, 2, STATUS, 1, 2, 0);
}

static void send(void)
{
    make_available(BLK_QUEUE, 0);
    blk_reg_write(0x050, 0);
}

static uint8_t status(void)
{
    uint8_t byte;
    get(STATUS, &byte, 1);
    return byte;
}

static uint32_t used_bytes(unsigned place)
{
    uint32_t element[2];
    get(USED(BLK_QUEUE) + 4 + 8 * place, element, 8);
    return element[1];
}

static void it_says_how_large_it_is(void **state)
{
    (void)state;
    assert_int_equal(read32(BLK_MMIO_BASE), UINT32_MAX); /* a guest without one */
    start();
    assert_int_equal(blk_reg_read(0x008), 2);
    blk_reg_write(0x014, 0);
    assert_int_equal(blk_reg_read(0x010), 1 << 1 | 1 << 2 | 1 << 9);
    assert_int_equal(blk_reg_read(0x100), DISK_SECTORS);
    assert_int_equal(blk_reg_read(0x104), 0);
    assert_int_equal(blk_reg_read(0x108), PAGE_BYTES);
    assert_int_equal(blk_reg_read(0x10C), BLK_SEG_MAX);
    assert_int_equal(blk_reg_read(0x114), 0);
}

static void a_read_comes_in_pieces_of_pages(void **state)
{
    (void)state;
    start();
    make(BLK_READ, 7, DATA + 0x200, 8192);
    send();
    assert_int_equal(dm.disk_starts, 1);
    const struct blk_request *r = dm.disk_request[0];
    assert_int_equal(r->op, BLK_READ);
    assert_int_equal(r->sector, 7);
    assert_int_equal(r->count, 3);
    assert_int_equal(r->piece[0].gpa, DATA + 0x200);
    assert_int_equal(r->piece[0].bytes, 4096 - 0x200);
    assert_int_equal(r->piece[1].bytes, 4096);
    assert_int_equal(r->piece[2].gpa, DATA + 0x2000);
    assert_int_equal(r->piece[2].bytes, 0x200);
    assert_int_equal(used_index(BLK_QUEUE), 0);
    assert_int_equal(status(), 0xFF);
    dev_machine_disk_done(0, true);
    assert_int_equal(used_index(BLK_QUEUE), 1);
    assert_int_equal(used_bytes(0), 8193);
    assert_int_equal(status(), 0);
    assert_int_equal(blk_reg_read(0x060), 1);
}

static void a_header_may_share_its_segment(void **state)
{
    (void)state;
    start();
    header(BLK_WRITE, 1);
    descriptor(BLK_QUEUE, 0, BUFFER + 0x100, 16 + 300, 1, 1);
    descriptor(BLK_QUEUE, 1, DATA, 212, 1, 2);
    descriptor(BLK_QUEUE, 2, STATUS - 3, 4, 2, 0); /* and the status is the last byte of what there is */
    send();
    const struct blk_request *r = dm.disk_request[0];
    assert_int_equal(r->count, 2);
    assert_int_equal(r->piece[0].gpa, BUFFER + 0x110);
    assert_int_equal(r->piece[0].bytes, 300);
    assert_int_equal(r->piece[1].bytes, 212);
    dev_machine_disk_done(0, false);
    assert_int_equal(status(), BLK_IO_ERROR);
    assert_int_equal(used_bytes(0), 1);
    header(BLK_FLUSH, 0);
    send();
    assert_int_equal(dm.disk_request[0]->op, BLK_FLUSH);
    assert_int_equal(dm.disk_request[0]->count, 0);
    dev_machine_disk_done(0, true);
    assert_int_equal(status(), BLK_OK);
}

/* Answered at once, and nothing is moved. */
static void assert_refused(enum blk_result result)
{
    const uint16_t used = used_index(BLK_QUEUE);
    const unsigned starts = dm.disk_starts;
    send();
    assert_int_equal(dm.disk_starts, starts);
    assert_int_equal(used_index(BLK_QUEUE), used + 1);
    assert_int_equal(status(), result);
    assert_int_equal(blk_reg_read(0x070), 15);
}

static void what_makes_no_sense_is_an_error(void **state)
{
    static const struct {
        uint64_t sector;
        gpa_t data;
        uint32_t bytes;
    } bad[] = {
        {DISK_SECTORS - 7, DATA, 4096},
        {DISK_SECTORS, DATA, 512},
        {UINT64_MAX, DATA, 512},
        {UINT64_MAX - 7, DATA, 4096},
        {1ull << 55, DATA, 512},
        {0, DATA, 0},
        {0, DATA, 511},
        {0, DATA + 1, 512},
        {0, DATA, 131072 + 512},
        {0, DATA, 0xFFFFFE00},
        {0, DATA, 0x80000000},
    };
    (void)state;
    start();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        for (uint32_t type = BLK_READ; type <= BLK_WRITE; type++) {
            make(type, bad[i].sector, bad[i].data, bad[i].bytes);
            assert_refused(BLK_IO_ERROR);
        }
    }
    for (uint32_t type = 2; type < 16; type++) {
        if (type == BLK_FLUSH) continue;
        make(type, 0, DATA, 512);
        assert_refused(BLK_UNSUPPORTED);
    }
    /* more pieces than there may be, though not more bytes */
    header(BLK_WRITE, 0);
    descriptor(BLK_QUEUE, 0, BUFFER + 0x100, 16, 1, 1);
    for (uint16_t i = 1; i < 2 * RING_SIZE + 2; i++)
        descriptor(BLK_QUEUE, i, DATA + 4094, i == 1 ? 512 - 32 * 4 : 4, 1, (uint16_t)(i + 1));
    descriptor(BLK_QUEUE, 2 * RING_SIZE + 2, STATUS, 1, 2, 0);
    dm.platform.blk_transport.queue[0].size = 64;
    assert_refused(BLK_IO_ERROR);
    assert_int_equal(dm.platform.blk->errors, 2 * ARRAY_LEN(bad) + 1);
}

static void what_has_no_room_for_a_status_breaks_the_device(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        dev_machine_reset();
        start();
        make(BLK_WRITE, 0, DATA, 512);
        if (i == 0) descriptor(BLK_QUEUE, 1, DATA, 512, 0, 0);         /* none */
        if (i == 1) descriptor(BLK_QUEUE, 2, STATUS, 0, 2, 0);         /* an empty one */
        if (i == 2) descriptor(BLK_QUEUE, 0, BUFFER, 15, 3, 2);        /* nor a header */
        if (i == 3) descriptor(BLK_QUEUE, 0, RAM_BYTES - 8, 16, 1, 1); /* that is RAM */
        send();
        assert_int_equal(dm.disk_starts, 0);
        assert_int_equal(blk_reg_read(0x070), 15 | VIRTIO_STATUS_NEEDS_RESET);
    }
}

static void a_full_house_waits(void **state)
{
    (void)state;
    start();
    make(BLK_READ, 0, DATA, 512);
    for (unsigned i = 0; i < RING_SIZE; i++) send();
    assert_int_equal(dm.disk_starts, BLK_REQUESTS);
    assert_false(platform_has_work(&dm.platform)); /* one that ends is what helps */
    dev_machine_disk_done(3, true);
    assert_int_equal(dm.disk_starts, BLK_REQUESTS + 1);
    for (unsigned i = 0; i < RING_SIZE - 1; i++) dev_machine_disk_done(0, true);
    assert_int_equal(dm.disk_starts, RING_SIZE);
    assert_int_equal(used_index(BLK_QUEUE), RING_SIZE);
    assert_int_equal(dm.platform.blk->busy, 0);
}

static void what_has_no_memory_is_tried_again(void **state)
{
    (void)state;
    start();
    dm.disk_start = BLK_LATER;
    make(BLK_READ, 0, DATA, 512);
    send();
    send();
    assert_int_equal(dm.disk_starts, 0);
    assert_true(platform_has_work(&dm.platform));
    (void)platform_poll(&dm.platform, 0);
    dm.disk_start = BLK_STARTED;
    (void)platform_poll(&dm.platform, 0);
    assert_int_equal(dm.disk_starts, 2);
    assert_false(platform_has_work(&dm.platform));
    dm.disk_start = BLK_FAILED;
    send();
    assert_int_equal(status(), BLK_IO_ERROR);
}

static void a_reset_is_over_when_nothing_is_under_way(void **state)
{
    (void)state;
    start();
    make(BLK_READ, 0, DATA, 512);
    send();
    blk_reg_write(0x070, 0);
    assert_int_not_equal(blk_reg_read(0x070), 0);
    dev_machine_disk_done(0, true);
    assert_int_equal(blk_reg_read(0x070), 0);
    assert_int_equal(status(), 0xFF);

    /* A driver that does not wait: what is from before is not given back to it. */
    for (unsigned i = 0; i < 2; i++) {
        blk_reg_write(0x070, 0);
        blk_driver_start();
        make(BLK_READ, 0, DATA, 512);
        send();
    }
    dev_machine_disk_done(0, true);
    assert_int_equal(used_index(BLK_QUEUE), 0);
    dev_machine_disk_done(0, true);
    assert_int_equal(used_index(BLK_QUEUE), 1);
    assert_int_equal(blk_reg_read(0x070), 15);
}

static void a_status_that_is_no_ram_breaks_the_device(void **state)
{
    (void)state;
    start();
    make(BLK_READ, 0, DATA, 512);
    descriptor(BLK_QUEUE, 2, RAM_BYTES, 1, 2, 0);
    send();
    dev_machine_disk_done(0, true);
    assert_int_equal(blk_reg_read(0x070), 15 | VIRTIO_STATUS_NEEDS_RESET);
    assert_int_equal(dm.platform.blk->busy, 0);
}

const struct CMUnitTest blk_tests[] = {
    TEST(it_says_how_large_it_is),
    TEST(a_read_comes_in_pieces_of_pages),
    TEST(a_header_may_share_its_segment),
    TEST(what_makes_no_sense_is_an_error),
    TEST(what_has_no_room_for_a_status_breaks_the_device),
    TEST(a_full_house_waits),
    TEST(what_has_no_memory_is_tried_again),
    TEST(a_reset_is_over_when_nothing_is_under_way),
    TEST(a_status_that_is_no_ram_breaks_the_device),
};
const size_t blk_test_count = ARRAY_LEN(blk_tests);
