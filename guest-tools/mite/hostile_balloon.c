// SPDX-License-Identifier: MIT
#include "hostile_balloon.h"

#include "balloon.h"
#include "balloon_device.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "hostile.h"
#include "pages.h"
#include "pattern.h"

// RAM that mite has no use for.
#define UNUSED_LOW_PAGE 0x7000U

// How long a device may take over a message it need not answer at all.
#define SETTLE_US 20000

static void settle(void)
{
    uint64_t end = rdtsc() + clock_us_to_ticks(SETTLE_US);
    while (rdtsc() < end) pause();
}

static bool broken(void)
{
    return (virtio_read(&balloon.virtio, VIRTIO_STATUS) & VIRTIO_NEEDS_RESET) != 0;
}

// Offers one descriptor on both queues of pages; the device may answer or not.
static void offer(struct descriptor descriptor)
{
    for (uint32_t q = QUEUE_INFLATE; q <= QUEUE_DEFLATE; q++) {
        if (broken()) balloon_restart();
        struct virtqueue *queue = &balloon.queues[q];
        queue->descriptors[0] = descriptor;
        virtqueue_offer(&balloon.virtio, queue, 0);
        settle();
    }
}

static void send_numbers(uint32_t queue, const uint32_t *numbers, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) balloon.page_numbers[i] = numbers[i];
    struct virtqueue *q = &balloon.queues[queue];
    q->descriptors[0] = (struct descriptor){(uint32_t)balloon.page_numbers, count * 4, 0, 0};
    virtqueue_offer(&balloon.virtio, q, 0);
    settle();
}

static uint32_t scratch_number(void)
{
    uint32_t page = hostile_scratch_page();
    return page == PAGE_NONE ? UNUSED_LOW_PAGE / PAGE_BYTES : page_address(page) / PAGE_BYTES;
}

// The address of a scratch page full of `word`.
static uint32_t scratch_of(uint32_t word)
{
    uint32_t page = scratch_number() * PAGE_BYTES;
    for (uint32_t i = 0; i < PAGE_BYTES / 4; i++) mmio_write32(page + 4 * i, word);
    return page;
}

// Uses pages that it gave away. A guest's loss only: it finds zeros.
static void act_touch(void)
{
    uint32_t numbers[4];
    uint32_t zero_count = 0;
    for (uint32_t i = 0; i < 4; i++) {
        numbers[i] = scratch_number();
        mmio_write32(numbers[i] * PAGE_BYTES, 0xA5A5A5A5);
        page_set_state(page_at(numbers[i] * PAGE_BYTES), PAGE_HELD); // not to be found twice
    }
    send_numbers(QUEUE_INFLATE, numbers, 4);
    for (uint32_t i = 0; i < 4; i++) {
        zero_count += mmio_read32(numbers[i] * PAGE_BYTES) == 0;
        mmio_write32(numbers[i] * PAGE_BYTES + 4, 0x5A5A5A5A);
    }
    send_numbers(QUEUE_DEFLATE, numbers, 4);
    for (uint32_t i = 0; i < 4; i++) page_set_state(page_at(numbers[i] * PAGE_BYTES), PAGE_FREE);
    say("mite: badballoon touched_pages=4 zero_pages=%u\n", zero_count);
}

static void act_twice(void)
{
    uint32_t number = scratch_number();
    const uint32_t numbers[] = {number, number, number};
    send_numbers(QUEUE_INFLATE, numbers, 3);
    send_numbers(QUEUE_INFLATE, numbers, 1);
    send_numbers(QUEUE_DEFLATE, numbers, 3);
    send_numbers(QUEUE_DEFLATE, numbers, 1);
}

static void act_outside(void)
{
    const uint32_t numbers[] = {page_address(pages_end()) / PAGE_BYTES,
                                hostile_hole() / PAGE_BYTES,
                                0xD0000,
                                0xFEE00,
                                0xFFFFF,
                                0x100000,
                                0x7FFFFFFF,
                                0xFFFFFFFF,
                                UNUSED_LOW_PAGE / PAGE_BYTES};
    send_numbers(QUEUE_INFLATE, numbers, sizeof numbers / sizeof *numbers);
    send_numbers(QUEUE_DEFLATE, numbers, sizeof numbers / sizeof *numbers);
}

// Takes back what was never given.
static void act_undeflated(void)
{
    uint32_t number = scratch_number();
    send_numbers(QUEUE_DEFLATE, &number, 1);
}

static void act_loop(void)
{
    offer((struct descriptor){(uint32_t)balloon.page_numbers, 0, DESCRIPTOR_NEXT, 0});
    offer((struct descriptor){(uint32_t)balloon.page_numbers, 1024, DESCRIPTOR_NEXT, 0});
    offer((struct descriptor){(uint32_t)balloon.page_numbers, 4, DESCRIPTOR_NEXT, 0xFFFF});
}

static void act_length(void)
{
    static const uint32_t lengths[] = {0, 1, 3, 5, 4095, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, 0xFFFFFFFF};
    // The numbers found behind a length too large are whatever lies there; they must not be mite's.
    uint32_t page = scratch_number() * PAGE_BYTES;
    for (uint32_t i = 0; i < PAGE_BYTES / 4; i++) mmio_write32(page + 4 * i, 0xFFFFF);
    for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        // With its end beyond RAM the whole message is malformed.
        uint64_t address = lengths[i] < PAGE_BYTES ? page : page_address(pages_end()) - PAGE_BYTES;
        offer((struct descriptor){address, lengths[i], 0, 0});
    }
}

// Not the local APIC: QEMU reads it as if it were memory, and finds in it the number of a page.
static void act_address(void)
{
    const uint64_t addresses[] = {page_address(pages_end()) - 2,
                                  page_address(pages_end()),
                                  0xD0000000,
                                  0xFEC00000,
                                  0xFFFFFFFE,
                                  1ULL << 40,
                                  1ULL << 52,
                                  1ULL << 63,
                                  UINT64_MAX - 1};
    for (uint32_t i = 0; i < sizeof addresses / sizeof *addresses; i++)
        offer((struct descriptor){addresses[i], 1024, 0, 0});
}

static void act_flags(void)
{
    uint32_t at = (uint32_t)balloon.page_numbers;
    balloon.page_numbers[0] = 0xFFFFF;
    offer((struct descriptor){at, 4, DESCRIPTOR_WRITE, 0});
    offer((struct descriptor){at, 16, DESCRIPTOR_INDIRECT, 0});
    offer((struct descriptor){at, 16, DESCRIPTOR_INDIRECT | DESCRIPTOR_NEXT, 0});
    offer((struct descriptor){at, 4, 0xFFF8, 0});
}

static void act_index(void)
{
    static const uint16_t heads[] = {QUEUE_SIZE, 0x7FFF, 0xFFFF};
    struct virtqueue *queue = &balloon.queues[QUEUE_INFLATE];
    for (uint32_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        virtqueue_offer(&balloon.virtio, queue, heads[i]);
        settle();
        balloon_restart();
    }
    static const uint16_t jumps[] = {QUEUE_SIZE + 1, 0x8000, 0xFFFF};
    for (uint32_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        balloon.page_numbers[0] = 0xFFFFF;
        queue->descriptors[0] = (struct descriptor){(uint32_t)balloon.page_numbers, 4, 0, 0};
        queue->available.index = (uint16_t)(queue->available.index + jumps[i] - 1);
        virtqueue_offer(&balloon.virtio, queue, 0);
        settle();
        balloon_restart();
    }
}

static void act_notify(void)
{
    static const uint32_t numbers[] = {2, 3, 16, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF};
    for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        virtio_write(&balloon.virtio, VIRTIO_QUEUE_NOTIFY, numbers[i]);
    for (uint32_t i = 0; i < 10000; i++) virtio_write(&balloon.virtio, VIRTIO_QUEUE_NOTIFY, QUEUE_INFLATE);
    virtio_write(&balloon.virtio, VIRTIO_STATUS, 0);
    for (uint32_t queue = 0; queue < QUEUES; queue++)
        virtio_write(&balloon.virtio, VIRTIO_QUEUE_NOTIFY, queue);
}

// Rings in places, and of sizes, where none can be.
static void act_rings(void)
{
    static const uint32_t sizes[] = {0, 3, 16, 1024, 0x8000, 0xFFFF, 0x10000, 0xFFFFFFFF};
    const uint32_t lows[] = {page_address(pages_end()) - 8, hostile_hole(), 0xFEE00000, 0xFFFFFFF8,
                             scratch_of(0xFFFFFFFF) + 1};
    for (uint32_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        for (uint32_t a = 0; a < sizeof lows / sizeof *lows; a++) {
            virtio_write(&balloon.virtio, VIRTIO_STATUS, 0);
            virtio_write(&balloon.virtio, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
            virtio_write(&balloon.virtio, VIRTIO_DRIVER_FEATURES_SELECT, 1);
            virtio_write(&balloon.virtio, VIRTIO_DRIVER_FEATURES, 1);
            virtio_write(&balloon.virtio, VIRTIO_STATUS,
                         VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
            virtio_write(&balloon.virtio, VIRTIO_QUEUE_SELECT, QUEUE_INFLATE);
            virtio_write(&balloon.virtio, VIRTIO_QUEUE_SIZE, sizes[s]);
            for (uint32_t ring = VIRTIO_QUEUE_DESCRIPTORS; ring <= VIRTIO_QUEUE_DEVICE; ring += 0x10) {
                virtio_write(&balloon.virtio, ring, lows[a]);
                virtio_write(&balloon.virtio, ring + 4, a == 0 ? 0 : s == 0 ? 0xFFFFFFFF : s == 1);
            }
            virtio_write(&balloon.virtio, VIRTIO_QUEUE_READY, 1);
            virtio_run(&balloon.virtio);
            virtio_write(&balloon.virtio, VIRTIO_QUEUE_NOTIFY, QUEUE_INFLATE);
        }
    }
}

static void act_status(void)
{
    for (uint32_t status = 0; status < 256; status++) {
        virtio_write(&balloon.virtio, VIRTIO_STATUS, status);
        virtio_write(&balloon.virtio, VIRTIO_QUEUE_NOTIFY, QUEUE_INFLATE);
    }
    virtio_write(&balloon.virtio, VIRTIO_STATUS, 0xFFFFFF00);
    // Features that were never offered.
    virtio_write(&balloon.virtio, VIRTIO_STATUS, 0);
    virtio_write(&balloon.virtio, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (uint32_t half = 0; half < 4; half++) {
        virtio_write(&balloon.virtio, VIRTIO_DRIVER_FEATURES_SELECT, half);
        virtio_write(&balloon.virtio, VIRTIO_DRIVER_FEATURES, 0xFFFFFFFF);
    }
    virtio_write(&balloon.virtio, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
}

// The device's registers and configuration, at every offset and width.
static void act_registers(void)
{
    for (uint32_t offset = 0; offset < 0x200; offset++) {
        uint32_t at = balloon.virtio.base + offset;
        __asm__ volatile("movb (%0), %%al; movw (%0), %%ax; movl (%0), %%eax" ::"r"(at) : "eax", "memory");
        for (uint32_t value = 0; value < 3; value++)
            __asm__ volatile("movl %1, (%0); movw %w1, (%0); movb %b1, (%0)" ::"r"(at), "q"(value - 1)
                             : "memory");
    }
    virtio_write(&balloon.virtio, BALLOON_CONFIG_ACTUAL, 0xFFFFFFFF);
}

static void act_statistics(void)
{
    static uint8_t nonsense[4096];
    for (uint32_t i = 0; i < sizeof nonsense; i++) nonsense[i] = (uint8_t)mix(i);
    static const uint32_t lengths[] = {0, 1, 9, 10, 11, 100, 4095, 4096};
    struct virtqueue *queue = &balloon.queues[QUEUE_STATISTICS];
    for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        queue->descriptors[1] = (struct descriptor){(uint32_t)nonsense, lengths[i], 0, 0};
        virtqueue_offer(&balloon.virtio, queue, 1);
    }
    settle();
}

// Resets with something inside.
static void act_reset(void)
{
    uint32_t numbers[8];
    for (uint32_t i = 0; i < 8; i++) numbers[i] = scratch_number() + i;
    send_numbers(QUEUE_INFLATE, numbers, 1);
}

static void act_random(void)
{
    uint32_t state = 1;
    for (uint32_t i = 0; i < 3000; i++) {
        state = mix(state + i);
        uint32_t offset = (state >> 8) & 0x1FC;
        uint32_t value = mix(state);
        // Rings that lie in mite would let the device write into it; the high halves are large here.
        if (offset >= VIRTIO_QUEUE_DESCRIPTORS && offset < VIRTIO_CONFIG) value |= 0x80000000;
        virtio_write(&balloon.virtio, offset, value);
        if (i % 64 == 0) balloon_restart();
    }
}

static const struct {
    const char *name;
    void (*run)(void);
} acts[] = {
    {"touch", act_touch},         {"twice", act_twice},
    {"outside", act_outside},     {"undeflated", act_undeflated},
    {"loop", act_loop},           {"length", act_length},
    {"address", act_address},     {"flags", act_flags},
    {"index", act_index},         {"notify", act_notify},
    {"rings", act_rings},         {"status", act_status},
    {"registers", act_registers}, {"statistics", act_statistics},
    {"reset", act_reset},         {"random", act_random},
};

static bool wanted(uint32_t i, struct span name)
{
    return span_is(name, acts[i].name) || span_is(name, "all");
}

bool hostile_balloon_known(struct span name)
{
    for (uint32_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (wanted(i, name)) return true;
    return false;
}

void hostile_balloon_run(struct span name)
{
    if (!balloon_present()) {
        say("mite: badballoon none\n");
        return;
    }
    for (uint32_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!wanted(i, name)) continue;
        say("mite: badballoon %s begin\n", acts[i].name);
        console_drain();
        acts[i].run();
        uint32_t status = virtio_read(&balloon.virtio, VIRTIO_STATUS);
        bool restarted = balloon_restart();
        say("mite: badballoon %s survived status=0x%x restarted=%s\n", acts[i].name, status,
            restarted ? "yes" : "no");
    }
}
