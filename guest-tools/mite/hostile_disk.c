// SPDX-License-Identifier: MIT
#include "hostile_disk.h"

#include "balloon.h"
#include "balloon_device.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "disk.h"
#include "hostile.h"
#include "pages.h"
#include "pattern.h"

// RAM that mite has no use for.
#define UNUSED_LOW 0x7000U

// How long a device may take over a request it need not answer at all.
#define SETTLE_US 20000

#define CAPACITY VIRTIO_CONFIG // in sectors, its low half

static uint64_t scratch(void)
{
    uint32_t page = hostile_scratch_page();
    return page == PAGE_NONE ? UNUSED_LOW : page_address(page);
}

static void settle(void)
{
    uint64_t end = rdtsc() + clock_us_to_ticks(SETTLE_US);
    while (rdtsc() < end) pause();
    if (virtio_read(&disk.virtio, VIRTIO_STATUS) & VIRTIO_NEEDS_RESET) disk_start();
}

static struct descriptor *chain(void)
{
    return disk.queue.descriptors;
}

// A request in good order, of one page, to be spoilt by the caller.
static void make(uint32_t type, uint64_t sector)
{
    disk.header[0] = (struct disk_header){type, 0, sector};
    chain()[0] = (struct descriptor){(uint32_t)&disk.header[0], sizeof disk.header[0], DESCRIPTOR_NEXT, 1};
    chain()[1] = (struct descriptor){scratch(), PAGE_BYTES,
                                     DESCRIPTOR_NEXT | (type == DISK_READ ? DESCRIPTOR_WRITE : 0), 2};
    chain()[2] = (struct descriptor){(uint32_t)&disk.status[0], 1, DESCRIPTOR_WRITE, 0};
}

static void send(void)
{
    virtqueue_offer(&disk.virtio, &disk.queue, 0);
    settle();
}

static void act_sector(void)
{
    const uint32_t end = virtio_read(&disk.virtio, CAPACITY);
    const uint64_t sectors[] = {end - 7, end, end + 1ULL, 1ULL << 32, 1ULL << 55, 1ULL << 63, UINT64_MAX};
    for (uint32_t i = 0; i < sizeof sectors / sizeof *sectors; i++) {
        for (uint32_t type = DISK_READ; type <= DISK_WRITE; type++) {
            make(type, sectors[i]);
            send();
            if (disk.status[0] == 0) say("mite: baddisk sector %llu answered\n", sectors[i]);
        }
    }
}

static void act_length(void)
{
    static const uint32_t lengths[] = {0,       1,          511,        513,        4098,      131072,
                                       0x20200, 0x7FFFFFFF, 0x80000000, 0xFFFFFE00, 0xFFFFFFFF};
    for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        // Reads of what is long would go to mite's own memory: they are asked for at the end of RAM.
        for (uint32_t type = DISK_READ; type <= DISK_WRITE; type++) {
            make(type, 0);
            if (lengths[i] > PAGE_BYTES && type == DISK_READ)
                chain()[1].address = page_address(pages_end()) - 256;
            chain()[1].length_bytes = lengths[i];
            send();
        }
    }
    make(DISK_READ, 0);
    chain()[2].length_bytes = 0; // no status
    send();
    make(DISK_WRITE, 0);
    chain()[0].length_bytes = 15;
    send();
}

static void act_address(void)
{
    const uint64_t addresses[] = {page_address(pages_end()) - 256,
                                  page_address(pages_end()),
                                  hostile_hole(),
                                  0xD0001000,
                                  0xFEC00000,
                                  0xFEE00000,
                                  scratch() + 1,
                                  1ULL << 40,
                                  1ULL << 52,
                                  1ULL << 63,
                                  UINT64_MAX - 511};
    for (uint32_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
        for (uint32_t which = 0; which < 3; which++) {
            make(i & 1 ? DISK_READ : DISK_WRITE, 0);
            chain()[which].address = addresses[i];
            if (which == 1) chain()[which].length_bytes = SECTOR_BYTES;
            send();
        }
    }
}

static void act_flags(void)
{
    static const uint16_t flags[] = {0, DESCRIPTOR_NEXT, DESCRIPTOR_WRITE, DESCRIPTOR_INDIRECT, 0xFFFF};
    for (uint32_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        for (uint32_t which = 0; which < 3; which++) {
            make(DISK_WRITE, 0);
            chain()[which].flags = flags[i];
            send();
        }
    }
}

static void act_loop(void)
{
    make(DISK_WRITE, 0);
    chain()[1].next = 1;
    send();
    make(DISK_READ, 0);
    chain()[1].next = 0xFFFF;
    send();
    make(DISK_READ, 0);
    chain()[2] = (struct descriptor){(uint32_t)&disk.status[0], 1, DESCRIPTOR_WRITE | DESCRIPTOR_NEXT, 2};
    send();
}

static void act_types(void)
{
    static const uint32_t types[] = {2, 3, 5, 8, 11, 13, 0x80000000, UINT32_MAX};
    for (uint32_t i = 0; i < sizeof types / sizeof *types; i++) {
        make(types[i], 0);
        send();
    }
}

// The device is made to write to what it works by: the ring that says what to do, and the request itself.
static void act_self(void)
{
    const uint64_t at[] = {(uint32_t)&disk.queue & ~1U, (uint32_t)&disk.queue.available,
                           (uint32_t)&disk.queue.used, (uint32_t)&disk.header[0]};
    for (uint32_t i = 0; i < sizeof at / sizeof *at; i++) {
        // Of the page that it shares with others of mite's variables, only what the disk returns as it was written.
        make(DISK_WRITE, 0);
        chain()[1] = (struct descriptor){at[i], SECTOR_BYTES, DESCRIPTOR_NEXT, 2};
        send();
        make(DISK_READ, 0);
        chain()[1] = (struct descriptor){at[i], SECTOR_BYTES, DESCRIPTOR_NEXT | DESCRIPTOR_WRITE, 2};
        send();
        disk_start();
    }
}

// Pages that go to the balloon while the disk writes to them, and come back from it.
static void act_balloon(void)
{
    for (uint32_t i = 0; i < 8 && balloon.open; i++) {
        make(DISK_READ, i);
        balloon.page_numbers[0] = (uint32_t)chain()[1].address / PAGE_BYTES;
        virtqueue_offer(&disk.virtio, &disk.queue, 0);
        balloon_send(QUEUE_INFLATE, 1);
        settle();
        send();
        balloon_send(QUEUE_DEFLATE, 1);
    }
}

// Resets with requests on their way, and starts again at once.
static void act_reset(void)
{
    for (uint32_t i = 0; i < 32; i++) {
        make(i & 1 ? DISK_READ : DISK_WRITE, i);
        virtqueue_offer(&disk.virtio, &disk.queue, 0);
        if (i % 4 == 3)
            virtio_write(&disk.virtio, VIRTIO_STATUS, 0);
        else
            disk_start();
        if (i % 4 == 3) disk_start();
    }
}

// The same request in every place of the ring, at once.
static void act_flood(void)
{
    make(DISK_READ, 0);
    for (uint32_t i = 0; i < 64 * QUEUE_SIZE; i++) virtqueue_offer(&disk.virtio, &disk.queue, 0);
    settle();
}

static void act_random(void)
{
    uint32_t state = 7;
    for (uint32_t i = 0; i < 500; i++) {
        state = mix(state + i);
        make(state & 1 ? DISK_WRITE : DISK_READ, state >> 20);
        struct descriptor *d = &chain()[mix(state) % 3];
        switch (mix(state + 1) % 4) {
        case 0: d->length_bytes = mix(state + 2) >> mix(state + 3) % 32; break;
        case 1: d->flags = (uint16_t)mix(state + 2); break;
        case 2: d->next = (uint16_t)(mix(state + 2) % 5); break;
        default: d->address |= (uint64_t)mix(state + 2) << 32; break;
        }
        // What the device may write to stays what it is, or lies where there is no RAM.
        for (uint32_t k = 0; k < 3; k++)
            if (chain()[k].flags & DESCRIPTOR_WRITE && chain()[k].length_bytes > (k == 2 ? 1 : PAGE_BYTES))
                chain()[k].address |= 1ULL << 40;
        if (chain()[0].flags & DESCRIPTOR_WRITE) chain()[0].address |= 1ULL << 40;
        virtqueue_offer(&disk.virtio, &disk.queue, 0);
        if (virtio_read(&disk.virtio, VIRTIO_STATUS) & VIRTIO_NEEDS_RESET || i % 16 == 0) disk_start();
    }
    settle();
}

static const struct {
    const char *name;
    void (*run)(void);
} acts[] = {
    {"sector", act_sector}, {"length", act_length}, {"address", act_address}, {"flags", act_flags},
    {"loop", act_loop},     {"types", act_types},   {"self", act_self},       {"balloon", act_balloon},
    {"reset", act_reset},   {"flood", act_flood},   {"random", act_random},
};

static bool wanted(uint32_t i, struct span name)
{
    return span_is(name, acts[i].name) || span_is(name, "all");
}

bool hostile_disk_known(struct span name)
{
    for (uint32_t i = 0; i < sizeof acts / sizeof *acts; i++)
        if (wanted(i, name)) return true;
    return false;
}

void hostile_disk_run(struct span name)
{
    if (!disk_start()) {
        say("mite: baddisk none\n");
        return;
    }
    for (uint32_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        if (!wanted(i, name)) continue;
        say("mite: baddisk %s begin\n", acts[i].name);
        console_drain();
        acts[i].run();
        uint32_t status = virtio_read(&disk.virtio, VIRTIO_STATUS);
        bool restarted = disk_start();
        say("mite: baddisk %s survived status=0x%x restarted=%s\n", acts[i].name, status,
            restarted ? "yes" : "no");
    }
}
