/* SPDX-License-Identifier: MIT
 *
 * What all disks have in common: checks, counters, and the way back to whoever asked.
 */
#include "boot/boot_info.h"
#include "drv/disk_priv.h"
#include "drv/ide.h"
#include "lib/cpu_index.h"
#include "lib/log.h"
#include "x86/cpu.h"
#include "x86/smp.h"
#include "x86/time.h"

#define IDE_REACH (4 * GIB / PAGE_BYTES)

struct lock disk_lock = LOCK_INIT(LOCK_DISK);
static struct tithe_disk disks[DISKS_MAX];
static uint32_t disk_count;
static struct disk_request *done_first, **done_end = &done_first;
static mfn_t dma_limit = IDE_REACH;

const char *disk_status_text(enum disk_status status)
{
    static const char *const texts[] = {
        [DISK_OK] = "ok",
        [DISK_PENDING] = "pending",
        [DISK_NO_DISK] = "there is no such disk, or it does not answer any more",
        [DISK_BAD_REQUEST] = "the request makes no sense",
        [DISK_BEYOND_END] = "beyond the end of the disk",
        [DISK_OUT_OF_REACH] = "the device cannot address this memory",
        [DISK_FAILED] = "the device reported an error",
        [DISK_TIMED_OUT] = "the device did not finish in time",
    };
    return texts[status];
}

mfn_t disk_dma_limit(void)
{
    return dma_limit;
}

uint32_t disk_add(const char *name, const char *model, uint64_t sectors)
{
    if (disk_count == DISKS_MAX) return DISKS_MAX;
    struct tithe_disk *d = &disks[disk_count];
    *d = (struct tithe_disk){.index = disk_count, .sectors = sectors, .dma_limit_pages = dma_limit};
    fmt_string(d->name, sizeof d->name, "%s", name);
    fmt_string(d->model, sizeof d->model, "%s", model);
    return disk_count++;
}

static enum disk_status check(struct disk_request *r)
{
    uint64_t bytes = 0;

    if (r->disk >= disk_count) return DISK_NO_DISK;
    if (r->segment_count > DISK_SEGMENTS_MAX) return DISK_BAD_REQUEST;
    for (uint32_t i = 0; i < r->segment_count; i++) {
        const struct disk_segment *s = &r->segments[i];
        if (s->bytes == 0 || s->bytes > PAGE_BYTES || s->offset > PAGE_BYTES - s->bytes ||
            (s->bytes | s->offset) % 2 != 0)
            return DISK_BAD_REQUEST;
        if (s->mfn >= dma_limit) return DISK_OUT_OF_REACH;
        bytes += s->bytes;
    }
    r->sectors = (uint32_t)(bytes / DISK_SECTOR_BYTES);
    if (bytes % DISK_SECTOR_BYTES != 0 || r->sectors > DISK_REQUEST_SECTORS ||
        (r->sectors == 0) != (r->op == DISK_FLUSH))
        return DISK_BAD_REQUEST;
    const uint64_t end = disks[r->disk].sectors;
    return r->sector > end || r->sectors > end - r->sector ? DISK_BEYOND_END : DISK_OK;
}

enum disk_status disk_submit(struct disk_request *request)
{
    enum disk_status status = check(request);

    if (status != DISK_OK) return status;
    request->status = DISK_PENDING;
    request->next = NULL;
    lock_acquire(&disk_lock);
    status = ide_queue(request);
    lock_release(&disk_lock);
    /* The boot CPU keeps the deadlines, and must hear of this one. */
    if (cpu_index() != 0) smp_kick(0);
    return status;
}

void disk_retried(uint32_t disk)
{
    disks[disk].retries++;
}

void disk_finished(struct disk_request *r, enum disk_status status)
{
    struct tithe_disk *d = &disks[r->disk];

    r->status = status;
    r->next = NULL;
    *done_end = r;
    done_end = &r->next;
    if (status != DISK_OK) {
        d->errors++;
    } else if (r->op == DISK_READ) {
        d->reads++;
        d->read_sectors += r->sectors;
    } else if (r->op == DISK_WRITE) {
        d->writes++;
        d->written_sectors += r->sectors;
    } else {
        d->flushes++;
    }
}

uint64_t disk_poll(uint64_t now_ns)
{
    lock_acquire(&disk_lock);
    uint64_t next_ns = ide_poll(now_ns);
    struct disk_request *r = done_first;
    done_first = NULL;
    done_end = &done_first;
    lock_release(&disk_lock);
    if (r == NULL) return next_ns;
    while (r != NULL) {
        struct disk_request *next = r->next;
        r->done(r);
        r = next;
    }
    return now_ns; /* they may have asked for more */
}

static void waited_for(struct disk_request *request)
{
    request->next = request; /* a mark that no request in a queue has */
}

enum disk_status disk_wait(struct disk_request *request)
{
    request->done = waited_for;
    const enum disk_status status = disk_submit(request);
    if (status != DISK_OK) return status;
    for (;;) {
        const uint64_t next_ns = disk_poll(time_now_ns());
        if (request->next == request) return request->status;
        time_arm(next_ns);
        cpu_idle();
    }
}

bool disk_describe(struct tithe_disk *disk)
{
    if (disk->index >= disk_count) return false;
    lock_acquire(&disk_lock);
    *disk = disks[disk->index];
    lock_release(&disk_lock);
    return true;
}

static void log_disk(const struct tithe_disk *d)
{
    log_line("tithe: disk %u: %s, %s, %llu MiB; partitions: %s", d->index, d->name, d->model,
             d->sectors / (MIB / DISK_SECTOR_BYTES), d->table);
    for (uint32_t i = 0; i < d->partition_count; i++) {
        const struct tithe_partition *p = &d->partition[i];
        log_line("tithe: disk %u: partition %u '%s', %llu KiB from sector %lu%s", d->index, p->number,
                 p->name, p->sectors / (KIB / DISK_SECTOR_BYTES), p->first_sector,
                 p->swap ? ", for Tithe's swap" : "");
    }
}

void disk_init(void)
{
    const uint64_t limit = boot_option_u64("disk_dma_limit_mib", IDE_REACH * PAGE_BYTES / MIB);

    dma_limit = limit < IDE_REACH * PAGE_BYTES / MIB ? limit * (MIB / PAGE_BYTES) : IDE_REACH;
    ide_init();
    for (uint32_t i = 0; i < disk_count; i++) {
        disk_scan(&disks[i]);
        log_disk(&disks[i]);
    }
    disk_test();
}

uint64_t disk_contended(void)
{
    return lock_contended(&disk_lock);
}
