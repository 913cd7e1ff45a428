// SPDX-License-Identifier: MIT
#include "disk.h"

#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "memory.h"
#include "pages.h"
#include "power.h"

#define DEVICE_ID        2
#define ANSWER_WITHIN_US 60000000
#define STATUS_NONE      0xFF
#define EXIT_FAILED      1

struct disk_device disk;

bool disk_start(void)
{
    disk.open = virtio_is(DISK_ADDRESS, DEVICE_ID) &&
                virtio_start(&disk.virtio, DISK_ADDRESS, VIRTIO_FEATURE_VERSION_1) &&
                virtio_add_queue(&disk.virtio, &disk.queue, 0);
    if (disk.open) virtio_run(&disk.virtio);
    return disk.open;
}

void disk_fail(const char *why, uint32_t status)
{
    say("mite: disk FAIL %s status=0x%x\nmite: exit code=%u\n", why, status, EXIT_FAILED);
    machine_exit(EXIT_FAILED);
}

struct disk_part disk_page(uint32_t page)
{
    return (struct disk_part){page_address(page), PAGE_BYTES};
}

void disk_offer(uint32_t slot, uint32_t type, uint64_t sector, const struct disk_part *parts, uint32_t count)
{
    const uint16_t first = (uint16_t)(slot * DISK_SLOT_DESCRIPTORS);
    const uint16_t last = (uint16_t)(first + 1 + count);
    const uint16_t flags = DESCRIPTOR_NEXT | (type == DISK_READ ? DESCRIPTOR_WRITE : 0);
    disk.header[slot] = (struct disk_header){type, 0, sector};
    disk.status[slot] = STATUS_NONE;
    disk.queue.descriptors[first] = (struct descriptor){
        (uint32_t)&disk.header[slot], sizeof disk.header[slot], DESCRIPTOR_NEXT, (uint16_t)(first + 1)};
    for (uint32_t i = 0; i < count; i++)
        disk.queue.descriptors[first + 1 + i] =
            (struct descriptor){parts[i].address, parts[i].bytes, flags, (uint16_t)(first + 2 + i)};
    disk.queue.descriptors[last] = (struct descriptor){(uint32_t)&disk.status[slot], 1, DESCRIPTOR_WRITE, 0};
    virtqueue_offer(&disk.virtio, &disk.queue, first);
}

void disk_await(uint32_t slots)
{
    uint64_t give_up = rdtsc() + clock_us_to_ticks(ANSWER_WITHIN_US);
    for (uint32_t answers = 0; answers < slots;) {
        if (virtqueue_returned(&disk.queue)) {
            answers++;
            continue;
        }
        if (rdtsc() > give_up) disk_fail("stuck", virtio_read(&disk.virtio, VIRTIO_STATUS));
        pause();
    }
    for (uint32_t slot = 0; slot < slots; slot++)
        if (disk.status[slot] != 0) disk_fail("error", disk.status[slot]);
}

// All pages, in groups; several groups are under way at once.
static void move(uint32_t type, uint32_t page_count)
{
    struct disk_part group[DISK_SLOTS][DISK_SLOT_PAGES];
    uint32_t page = pages_next(PAGE_HELD, 0);
    for (uint32_t done = 0; done < page_count && page != PAGE_NONE;) {
        uint32_t slots = 0;
        for (; slots < DISK_SLOTS && done < page_count && page != PAGE_NONE; slots++) {
            const uint64_t sector = (uint64_t)done * PAGE_SECTORS;
            uint32_t count = 0;
            for (; count < DISK_SLOT_PAGES && done < page_count && page != PAGE_NONE; count++, done++) {
                if (type == DISK_READ) memset((void *)page_address(page), 0xDB, PAGE_BYTES);
                group[slots][count] = disk_page(page);
                page = pages_next(PAGE_HELD, page + 1);
            }
            disk_offer(slots, type, sector, group[slots], count);
        }
        disk_await(slots);
    }
}

void disk_run(uint32_t page_count, uint32_t rounds)
{
    if (!disk.open && !disk_start()) disk_fail("none", 0);
    const uint64_t start = rdtsc();
    for (uint32_t round = 0; round < rounds; round++) {
        move(DISK_WRITE, page_count);
        disk_offer(0, DISK_FLUSH, 0, NULL, 0);
        disk_await(1);
        move(DISK_READ, page_count);
    }
    say("mite: disk ok pages=%u rounds=%u ticks=%llu\n", page_count, rounds, rdtsc() - start);
}
