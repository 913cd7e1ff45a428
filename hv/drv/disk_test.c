/* SPDX-License-Identifier: MIT
 *
 * Fills both ends of every partition of Tithe's own type with a pattern, several requests at a time, in pieces that do not keep to
 * frames; reads it back; and leaves it there to be looked at from outside. Nothing else on the disk is written. `disk-test=forever`
 * then goes on with the end of the last such partition while guests run.
 */
#include "drv/disk_priv.h"

#ifdef TITHE_DEBUG
#include "boot/boot_info.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "x86/cpu.h"
#include "x86/time.h"

#define END_SECTORS   4096u /* of each end */
#define CHUNK_SECTORS 128u
#define CHUNK_FRAMES  17u /* they begin in the middle of the first */
#define CHUNK_OFFSET  1538u
#define AT_A_TIME     4u
#define WORDS         (CHUNK_SECTORS * DISK_SECTOR_BYTES / 8)

static struct trial {
    struct disk_request request;
    struct disk_segment segments[CHUNK_FRAMES];
    uint8_t *bytes;
    bool busy;
} trials[AT_A_TIME];
static unsigned failures;
static bool for_ever; /* the same few chunks, while the core lives */

/* Word i of what is written from a sector on. */
static uint64_t pattern(uint64_t sector, uint32_t i)
{
    return (sector * 64 + i) * 0x9e3779b97f4a7c15ull;
}

static void over(struct disk_request *request);

static void try_chunk(struct trial *t, uint32_t disk, enum disk_op op, uint64_t sector)
{
    for (uint32_t i = 0; i < WORDS; i++) {
        const uint64_t word = op == DISK_WRITE ? pattern(sector, i) : 0;
        memcpy(t->bytes + 8 * i, &word, 8);
    }
    t->request = (struct disk_request){.disk = disk,
                                       .op = op,
                                       .sector = sector,
                                       .segments = t->segments,
                                       .segment_count = CHUNK_FRAMES,
                                       .done = over};
    t->busy = disk_submit(&t->request) == DISK_OK;
    failures += !t->busy;
}

static void over(struct disk_request *request)
{
    struct trial *t = CONTAINER_OF(request, struct trial, request);
    uint32_t wrong = request->status != DISK_OK;

    t->busy = false;
    for (uint32_t i = 0; request->op == DISK_READ && i < WORDS; i++) {
        const uint64_t want = pattern(request->sector, i);
        wrong += memcmp(t->bytes + 8 * i, &want, 8) != 0;
    }
    if (wrong != 0) {
        log_line("disk-test: sector %lu: %s; %u words wrong", request->sector,
                 disk_status_text(request->status), wrong);
        failures++;
    } else if (for_ever) {
        try_chunk(t, request->disk, request->op == DISK_READ ? DISK_WRITE : DISK_READ, request->sector);
    }
}

static void wait_until_free(const struct trial *t)
{
    while (t->busy) {
        time_arm(disk_poll(time_now_ns()));
        if (t->busy) cpu_idle();
    }
}

static void try_all(uint32_t disk, const struct tithe_partition *p, enum disk_op op)
{
    unsigned next = 0;

    for (uint64_t at = 0; at + CHUNK_SECTORS <= p->sectors; at += CHUNK_SECTORS) {
        if (at >= END_SECTORS && at + END_SECTORS < p->sectors) continue;
        struct trial *t = &trials[next++ % AT_A_TIME];
        wait_until_free(t);
        try_chunk(t, disk, op, p->first_sector + at);
    }
    for (unsigned i = 0; i < AT_A_TIME; i++) wait_until_free(&trials[i]);
}

static void try_partition(uint32_t disk, const struct tithe_partition *p)
{
    struct disk_request flush = {.disk = disk, .op = DISK_FLUSH};

    failures = 0;
    try_all(disk, p, DISK_WRITE);
    failures += disk_wait(&flush) != DISK_OK;
    try_all(disk, p, DISK_READ);
    log_line("disk-test: disk %u, partition %u: %s, %u failures", disk, p->number,
             failures == 0 ? "passed" : "FAILED", failures);
}

static bool make_trial(struct trial *t)
{
    const mfn_t mfn = frame_alloc_run(CHUNK_FRAMES, 1);

    if (mfn == MFN_NONE) return false;
    t->bytes = (uint8_t *)mfn_to_virt(mfn) + CHUNK_OFFSET;
    for (uint32_t i = 0; i < CHUNK_FRAMES; i++) {
        const uint32_t from = i == 0 ? CHUNK_OFFSET : 0,
                       to = i == CHUNK_FRAMES - 1 ? CHUNK_OFFSET : PAGE_BYTES;
        t->segments[i] = (struct disk_segment){mfn + i, from, to - from};
    }
    return true;
}

void disk_test(void)
{
    struct tithe_disk disk = {.index = 0};
    char mode[8];

    if (!boot_option("disk-test", mode, sizeof mode)) return;
    for (unsigned i = 0; i < AT_A_TIME; i++)
        if (!make_trial(&trials[i])) return;
    for (; disk_describe(&disk); disk.index++)
        for (uint32_t i = 0; i < disk.partition_count; i++)
            if (disk.partition[i].swap) try_partition(disk.index, &disk.partition[i]);
    for_ever = strcmp(mode, "forever") == 0;
    for (unsigned i = 0; i < AT_A_TIME; i++) {
        const struct disk_request *r = &trials[i].request;
        if (for_ever && r->done != NULL)
            try_chunk(&trials[i], r->disk, DISK_WRITE, r->sector);
        else
            frame_free_run(virt_to_hpa(trials[i].bytes) >> PAGE_SHIFT, CHUNK_FRAMES);
    }
}
#else
void disk_test(void) {}
#endif
