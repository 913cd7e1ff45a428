// SPDX-License-Identifier: MIT
#include "balloon.h"

#include "balloon_device.h"
#include "balloon_stats.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "pages.h"

// virtio 1.2, 5.5.3. With MUST_TELL_HOST a page is not used before its deflation is acknowledged;
// mite never does anyway.
#define FEATURE_MUST_TELL_HOST (1ULL << 0)
#define FEATURE_STATISTICS     (1ULL << 1)
#define FEATURES_WANTED        (VIRTIO_FEATURE_VERSION_1 | FEATURE_MUST_TELL_HOST | FEATURE_STATISTICS)

#define ANSWER_WITHIN_US 5000000

// Pages that the rate lets through at once after a pause.
#define CREDIT_MAX_PAGES 1024

struct balloon_device balloon;

static uint32_t rate_pages;
static uint32_t credit_pages;
static uint64_t credit_since;
static uint32_t gift_pages;
static uint32_t given_pages;
static uint32_t printed_target;
static bool printed_short;

// From the offer of the last message to its return.
static uint64_t sent_ticks;

static bool has_statistics(void)
{
    return (balloon.virtio.features & FEATURE_STATISTICS) != 0;
}

static bool start(uint32_t address)
{
    if (!virtio_start(&balloon.virtio, address, FEATURES_WANTED)) return false;
    uint32_t queue_count = has_statistics() ? QUEUES : QUEUE_STATISTICS;
    for (uint32_t i = 0; i < queue_count; i++)
        if (!virtio_add_queue(&balloon.virtio, &balloon.queues[i], i)) return false;
    virtio_run(&balloon.virtio);
    if (has_statistics()) balloon_stats_offer(&balloon.virtio, &balloon.queues[QUEUE_STATISTICS]);
    return true;
}

bool balloon_open(uint32_t address)
{
    balloon.open = virtio_is(address, BALLOON_DEVICE_ID) && start(address);
    credit_since = rdtsc();
    return balloon.open;
}

bool balloon_restart(void)
{
    balloon.open = start(balloon.virtio.base);
    uint32_t page;
    while ((page = pages_lowest(PAGE_BALLOONED)) != PAGE_NONE) page_set_state(page, PAGE_FRESH);
    return balloon.open;
}

bool balloon_present(void)
{
    return balloon.open;
}

void balloon_set_rate(uint32_t pages_per_second)
{
    rate_pages = pages_per_second;
}

void balloon_give(uint32_t page_count)
{
    gift_pages = page_count;
}

bool balloon_send(uint32_t queue_number, uint32_t count)
{
    struct virtqueue *queue = &balloon.queues[queue_number];
    queue->descriptors[0] = (struct descriptor){(uint32_t)balloon.page_numbers, count * 4, 0, 0};
    uint64_t start_ticks = rdtsc();
    virtqueue_offer(&balloon.virtio, queue, 0);
    uint64_t give_up = start_ticks + clock_us_to_ticks(ANSWER_WITHIN_US);
    while (!virtqueue_returned(queue)) {
        if (rdtsc() > give_up) {
            balloon.open = false;
            say("mite: balloon stuck queue=%u status=0x%x\n", queue_number,
                virtio_read(&balloon.virtio, VIRTIO_STATUS));
            return false;
        }
        pause();
    }
    sent_ticks = rdtsc() - start_ticks;
    return true;
}

static uint32_t take_page(void)
{
    uint32_t page = pages_highest_available();
    if (page != PAGE_NONE || given_pages >= gift_pages) return page;
    page = pages_highest(PAGE_HELD);
    given_pages += page != PAGE_NONE;
    return page;
}

static void inflate(uint32_t count)
{
    uint32_t taken = 0;
    while (taken < count) {
        uint32_t page = take_page();
        if (page == PAGE_NONE) break;
        page_set_state(page, PAGE_BALLOONED);
        balloon.page_numbers[taken++] = page_address(page) / PAGE_BYTES;
    }
    if (taken > 0) balloon_send(QUEUE_INFLATE, taken);
}

static void deflate(uint32_t count)
{
    uint32_t page = pages_lowest(PAGE_BALLOONED);
    for (uint32_t i = 0; i < count; i++) {
        balloon.page_numbers[i] = page_address(page) / PAGE_BYTES;
        page = pages_next(PAGE_BALLOONED, page + 1);
    }
    // Until the device has answered they are not ours.
    if (!balloon_send(QUEUE_DEFLATE, count)) return;
    for (uint32_t i = 0; i < count; i++)
        page_set_state(page_at(balloon.page_numbers[i] * PAGE_BYTES), PAGE_FRESH);
}

static uint32_t batch(uint32_t wish)
{
    if (wish > BALLOON_BATCH_PAGES) wish = BALLOON_BATCH_PAGES;
    if (rate_pages == BALLOON_RATE_UNLIMITED) return wish;
    return wish < credit_pages ? wish : credit_pages;
}

static void earn_credit(void)
{
    if (rate_pages == BALLOON_RATE_UNLIMITED) return;
    uint64_t us = clock_ticks_to_us(rdtsc() - credit_since);
    uint64_t earned = us < 1000000 ? divide(us * rate_pages, 1000000) : CREDIT_MAX_PAGES;
    if (earned == 0) return;
    credit_since = rdtsc();
    uint64_t credit = credit_pages + earned;
    credit_pages = credit > CREDIT_MAX_PAGES ? CREDIT_MAX_PAGES : (uint32_t)credit;
}

// One message toward the target. False if there is none to send.
static bool step(uint32_t target)
{
    uint32_t actual = pages_count(PAGE_BALLOONED);
    uint32_t count = batch(actual < target ? target - actual : actual - target);
    if (count == 0) return false;
    if (actual < target)
        inflate(count);
    else
        deflate(count);
    uint32_t now = pages_count(PAGE_BALLOONED);
    uint32_t moved = now > actual ? now - actual : actual - now;
    if (rate_pages != BALLOON_RATE_UNLIMITED) credit_pages -= moved;
    return moved > 0;
}

uint32_t balloon_target(void)
{
    return balloon.open ? virtio_read(&balloon.virtio, BALLOON_CONFIG_TARGET) : 0;
}

uint32_t balloon_move(bool up, uint32_t count, uint64_t *ticks)
{
    uint32_t actual = pages_count(PAGE_BALLOONED);
    if (!balloon.open) return 0;
    if (up)
        inflate(count);
    else
        deflate(count < actual ? count : actual);
    *ticks = sent_ticks;
    uint32_t now = pages_count(PAGE_BALLOONED);
    return now > actual ? now - actual : actual - now;
}

void balloon_print(void)
{
    say("mite: balloon actual_pages=%u target_pages=%u given_pages=%u\n", pages_count(PAGE_BALLOONED),
        balloon_target(), given_pages);
}

// Says once for each target that it is reached, or that it cannot be.
static void print_progress(uint32_t target)
{
    uint32_t actual = pages_count(PAGE_BALLOONED);
    bool is_short = actual < target && pages_available() == 0;
    if ((actual == target && (target != printed_target || printed_short)) ||
        (is_short && (target != printed_target || !printed_short))) {
        balloon_print();
        printed_target = target;
        printed_short = is_short;
    }
}

void balloon_service(void)
{
    if (!balloon.open) return;
    uint32_t target = virtio_read(&balloon.virtio, BALLOON_CONFIG_TARGET);
    uint32_t actual = pages_count(PAGE_BALLOONED);
    earn_credit();
    while (balloon.open && step(target))
        ;
    if (pages_count(PAGE_BALLOONED) != actual) {
        virtio_write(&balloon.virtio, BALLOON_CONFIG_ACTUAL, pages_count(PAGE_BALLOONED));
        virtio_write(&balloon.virtio, VIRTIO_INTERRUPT_ACK,
                     virtio_read(&balloon.virtio, VIRTIO_INTERRUPT_STATUS));
    }
    if (has_statistics() && virtqueue_returned(&balloon.queues[QUEUE_STATISTICS]))
        balloon_stats_offer(&balloon.virtio, &balloon.queues[QUEUE_STATISTICS]);
    print_progress(target);
}
