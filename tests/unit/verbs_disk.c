/* SPDX-License-Identifier: MIT
 *
 * The host's disk, with guests' partitions and one for swap: it moves data bit by bit, ends requests in any order, fails, refuses, tears and
 * loses writes, and is gone one day. And guests that use it, through vm/vm_disk.c.
 */
#include "verbs.h"

#include "drv/disk.h"
#include "mem/origin.h"
#include "vm/vm_disk.h"

#include <stdio.h>
#include <string.h>

#define PENDING   64u
#define DMA_LIMIT (FRAMES / 2)

/* A guest's request, from vm_disk_start on. */
struct io {
    bool used, kept; /* kept: its VM has forgotten its memory since */
    struct guest *guest;
    struct blk_request *blk;
    mfn_t mfn[BLK_PIECES_MAX]; /* of its segments */
    bool bounced[BLK_PIECES_MAX];
    uint64_t changes[BLK_PIECES_MAX]; /* of the page, when it began */
};

static struct pending {
    struct disk_request *request;
    struct io *io; /* NULL: of swap */
    uint64_t moved, torn_at;
} pending[PENDING];
static unsigned pending_count;

static struct io ios[2 * VMS * BLK_REQUESTS];
static struct io *starting;
static unsigned tried_in_vain;
static uint8_t disk[DISK_SECTORS * DISK_SECTOR_BYTES];

struct faults faults;

/* ---- what the core asks of it ---- */

const char *disk_status_text(enum disk_status status)
{
    return status == DISK_OK ? "ok" : "failed";
}

mfn_t disk_dma_limit(void)
{
    return DMA_LIMIT;
}

static uint64_t first_sector(unsigned partition)
{
    return FIRST_PARTITION + partition * PARTITION_SECTORS;
}

bool disk_describe(struct tithe_disk *d)
{
    if (d->index) return false;
    memset(d, 0, sizeof *d);
    for (uint32_t i = 0; i <= PARTITIONS; i++) {
        struct tithe_partition *p = &d->partition[d->partition_count++];
        const bool swap_part = i == PARTITIONS;
        snprintf(p->name, sizeof p->name, "part%u", i);
        p->number = i + 1;
        p->swap = swap_part;
        p->first_sector = first_sector(i);
        p->sectors = swap_part ? SLOTS * PAGE_SECTORS : PARTITION_SECTORS;
    }
    return true;
}

static bool is_of_swap(const struct disk_request *r)
{
    return (uintptr_t)r >= (uintptr_t)swap.request &&
           (uintptr_t)r < (uintptr_t)(swap.request + SWAP_REQUESTS);
}

static uint64_t bytes_of(const struct disk_request *r)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < r->segment_count; i++) {
        const struct disk_segment *s = &r->segments[i];
        check(s->mfn < DMA_LIMIT, "the disk cannot reach frame 0x%lx", s->mfn);
        check(s->bytes && s->offset + s->bytes <= PAGE_BYTES, "a segment leaves its frame");
        sum += s->bytes;
    }
    check(sum % DISK_SECTOR_BYTES == 0, "%lu bytes for the disk", sum);
    return sum;
}

static void check_place(const struct disk_request *r, const struct io *io, uint64_t bytes)
{
    uint64_t from = FIRST_SLOT, to = DISK_SECTORS;

    if (r->op == DISK_FLUSH) return;
    if (io) {
        from = first_sector(io->guest->partition);
        to = from + PARTITION_SECTORS;
    } else if (r->op == DISK_READ) {
        from = FIRST_PARTITION;
    }
    check(r->sector >= from && r->sector + bytes / DISK_SECTOR_BYTES <= to, "%s of sector %lu",
          r->op == DISK_READ ? "a read" : "a write", r->sector);
}

/* Which of the guest's data goes through buffers; what is written from there is the page as it was when the request began, unless somebody
 * has written to it since. */
static void look_at_pieces(const struct disk_request *r, struct io *io)
{
    struct guest *g = io->guest;

    for (uint32_t i = 0; i < r->segment_count; i++) {
        const struct disk_segment *s = &r->segments[i];
        const unsigned page = page_of(g, io->blk->piece[i].gpa >> PAGE_SHIFT);
        const uint64_t entry = entry_behind(g, page);
        const bool pinned = entry & PT_PINNED;
        io->mfn[i] = s->mfn;
        io->bounced[i] = !pinned || p2m_entry_mfn(g->vm.p2m.format, entry) != s->mfn;
        check(!io->bounced[i] || frame_state(s->mfn) == FRAME_CORE,
              "frame 0x%lx is neither the page's nor a buffer", s->mfn);
        if (io->bounced[i] && r->op == DISK_WRITE && g->page[page].changes == io->changes[i]) {
            check(memcmp((uint8_t *)mfn_to_virt(s->mfn) + s->offset,
                         (uint8_t *)g->page[page].word + s->offset, s->bytes) == 0,
                  "VM %u, gfn 0x%lx: something else is written to the guest's disk", g->vm.slot,
                  gfn_of(g, page));
        }
        *(io->bounced[i] ? &happened.copied : &happened.direct) += 1;
    }
}

enum disk_status disk_submit(struct disk_request *r)
{
    const uint64_t bytes = bytes_of(r);

    if (faults.gone) { /* swap finds out, and tries no more */
        tried_in_vain += is_of_swap(r) && r->op == DISK_WRITE;
        check(tried_in_vain <= SWAP_CLUSTERS, "pages go to a disk that is gone");
        return DISK_NO_DISK;
    }
    if (faults.fail && random_below(40) == 0) return DISK_BEYOND_END;
    check(pending_count < PENDING, "too many requests");
    struct io *io = is_of_swap(r) ? NULL : starting;
    struct pending *p = &pending[pending_count++];
    *p = (struct pending){.request = r, .io = io, .torn_at = UINT64_MAX};
    check_place(r, io, bytes);
    if (io && r->op != DISK_FLUSH) look_at_pieces(r, io);
    if (!io && faults.lie && r->op == DISK_WRITE && random_below(20) == 0) {
        p->torn_at = random_below(bytes);
        happened.torn++;
    }
    r->status = DISK_PENDING;
    return DISK_OK;
}

/* ---- how it does that ---- */

static unsigned page_at(const struct io *io, uint32_t piece)
{
    return page_of(io->guest, io->blk->piece[piece].gpa >> PAGE_SHIFT);
}

/* A sector, or what is left of a piece. */
static void move(struct pending *p)
{
    const struct disk_request *r = p->request;
    struct io *io = p->io;
    uint64_t at = p->moved;
    uint32_t i = 0;

    while (at >= r->segments[i].bytes) at -= r->segments[i++].bytes;
    const struct disk_segment *s = &r->segments[i];
    const uint64_t left = s->bytes - at, bytes = left < DISK_SECTOR_BYTES ? left : DISK_SECTOR_BYTES;
    const uint64_t offset = s->offset + at;
    uint8_t *memory = (uint8_t *)mfn_to_virt(s->mfn) + offset;
    uint8_t *sectors = disk + r->sector * DISK_SECTOR_BYTES + p->moved;
    const bool known = io && !io->kept && !io->bounced[i];
    if (known && r->op == DISK_WRITE) {
        struct guest *g = io->guest;
        check(memcmp(memory, (uint8_t *)g->page[page_at(io, i)].word + offset, bytes) == 0,
              "VM %u, gfn 0x%lx is not what was written there, reads its disk", g->vm.slot,
              gfn_of(g, page_at(io, i)));
    }
    if (r->op == DISK_READ)
        memcpy(memory, sectors, bytes);
    else if (p->moved < p->torn_at)
        memcpy(sectors, memory, bytes);
    if (known && r->op == DISK_READ) changed(io->guest, page_at(io, i), offset, memory, bytes);
    p->moved += bytes;
}

/* Whether the model counts a pin for this piece. */
static bool holds(const struct io *io, uint32_t piece)
{
    return io->blk->op == BLK_READ || !io->bounced[piece];
}

static void finish(struct pending *p, enum disk_status status)
{
    struct disk_request *r = p->request;
    struct io *io = p->io;

    *p = pending[--pending_count];
    r->status = status;
    happened.io_failed += io && status != DISK_OK;
    if (io && !io->kept) {
        for (uint32_t i = 0; i < io->blk->count; i++) io->guest->page[page_at(io, i)].pinned -= holds(io, i);
    }
    r->done(r);
    if (io) io->used = false;
}

bool disk_step(bool may_end)
{
    if (!pending_count) return false;
    struct pending *p = &pending[random_below(pending_count)];
    const uint64_t all = p->request->op == DISK_FLUSH ? 0 : bytes_of(p->request);
    uint64_t steps = p->io && random_below(2) ? 1 + random_below(8) : UINT64_MAX;

    may_end = may_end && !(p->io && p->io->guest->in_device);
    if (faults.gone) {
        if (may_end) finish(p, DISK_NO_DISK);
        return true;
    }
    const bool fails = faults.fail && random_below(60) == 0;
    if (fails) steps = random_below(8);
    for (; p->moved < all && steps; steps--) move(p);
    if (may_end && (p->moved == all || fails)) finish(p, fails ? DISK_FAILED : DISK_OK);
    return true;
}

unsigned io_pending(void)
{
    return pending_count;
}

void disk_reset(void)
{
    check(pending_count == 0, "requests are under way");
    tried_in_vain = 0;
    for (uint64_t at = 0; at < sizeof disk; at += PAGE_BYTES) {
        uint64_t words[WORDS];
        some_contents(words);
        memcpy(disk + at, words, at + PAGE_BYTES <= sizeof disk ? PAGE_BYTES : sizeof disk - at);
    }
}

const void *disk_at(uint64_t sector)
{
    return disk + sector * DISK_SECTOR_BYTES;
}

/* ---- guests' disks ---- */

/* What is in a page that a device overwrites whole is gone at this moment, if it was in swap or compressed. */
void __real_origin_overwrite(struct p2m *p2m, gfn_t gfn);
void __wrap_origin_overwrite(struct p2m *p2m, gfn_t gfn);
void __wrap_origin_overwrite(struct p2m *p2m, gfn_t gfn)
{
    struct guest *g = guest_of(p2m);
    const uint64_t avoided = p2m->swap.reads_avoided + p2m->store.expands_avoided;

    __real_origin_overwrite(p2m, gfn);
    if (p2m->swap.reads_avoided + p2m->store.expands_avoided != avoided) emptied(g, page_of(g, gfn));
}

void virtio_blk_init(struct virtio_blk *b, uint64_t sectors)
{
    b->sectors = sectors;
}

void platform_add_disk(struct platform *p, struct virtio_blk *blk)
{
    p->blk = blk;
}

/* What came through buffers is in the guest's memory now. */
void virtio_blk_done(struct virtio_mmio *t, struct blk_request *r, bool ok, uint64_t now_ns)
{
    struct io *io = ios;

    (void)t, (void)now_ns;
    while (io->blk != r || !io->used) io++;
    r->state = BLK_FREE;
    if (io->kept || !ok || r->op != BLK_READ) return;
    for (uint32_t i = 0; i < r->count; i++) {
        const size_t at = r->piece[i].gpa % PAGE_BYTES;
        if (!io->bounced[i]) continue;
        changed(io->guest, page_at(io, i), at, (uint8_t *)mfn_to_virt(io->mfn[i]) + at, r->piece[i].bytes);
    }
}

static bool waits_for_blocks; /* the request that was to be begun last */
enum p2m_touch __real_origin_start(struct p2m *p2m, struct origin_io *io, bool writes, uint64_t sector,
                                   uint64_t sectors);
enum p2m_touch __wrap_origin_start(struct p2m *p2m, struct origin_io *io, bool writes, uint64_t sector,
                                   uint64_t sectors);
enum p2m_touch __wrap_origin_start(struct p2m *p2m, struct origin_io *io, bool writes, uint64_t sector,
                                   uint64_t sectors)
{
    const enum p2m_touch got = __real_origin_start(p2m, io, writes, sector, sectors);

    waits_for_blocks = got == P2M_TOUCH_WAIT;
    return got;
}

static struct io *free_io(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(ios); i++) {
        if (!ios[i].used) return &ios[i];
    }
    check(false, "too many requests of guests");
    return NULL;
}

/* Whole pages and aligned blocks mostly. */
static bool make_request(struct guest *g, struct blk_request *r)
{
    const uint64_t kind = random_below(64);

    *r = (struct blk_request){.op = kind == 0 ? BLK_FLUSH : kind < 40 ? BLK_READ : BLK_WRITE};
    if (r->op == BLK_FLUSH) return true;
    for (uint64_t n = 1 + random_below(6); n; n--) {
        struct blk_piece *piece = &r->piece[r->count++];
        const unsigned page = random_page(g);
        const uint32_t at = random_below(6) ? 0 : (uint32_t)random_below(PAGE_SECTORS) * DISK_SECTOR_BYTES;
        const uint32_t most = (uint32_t)PAGE_BYTES - at;
        if (g->page[page].leaving) return false;
        piece->gpa = gpa_of(g, page) + at;
        piece->bytes = random_below(6) ? most : (1 + (uint32_t)random_below(most / 512)) * 512;
        r->bytes += piece->bytes;
    }
    const uint64_t room = PARTITION_SECTORS - r->bytes / DISK_SECTOR_BYTES;
    r->sector = random_below(5) ? random_below(room / PAGE_SECTORS) * PAGE_SECTORS : random_below(room + 1);
    return true;
}

/* Nothing keeps the disk from doing what is asked of it, and no other step from coming in between. */
static bool is_patient(void)
{
    return !faults.fail && !faults.lie && !faults.gone && !is_nested();
}

void io_step(struct guest *g)
{
    if (!runs(g) || !g->vm.disk || g->in_device) return;
    struct blk_request *r = &g->vm.platform.blk->request[random_below(BLK_REQUESTS)];
    if (r->state != BLK_FREE || !make_request(g, r)) return;
    struct io *io = free_io(), *const before = starting;
    *io = (struct io){.used = true, .guest = g, .blk = r};
    r->state = BLK_BUSY;
    for (uint32_t i = 0; i < r->count; i++) io->changes[i] = g->page[page_at(io, i)].changes;
    g->busy++;
    g->in_device = true;
    starting = io;
    enum blk_start got = vm_disk_start(&g->vm, r);
    /* Pages that a write has waited for do not go back to their blocks before it, whatever goes out. */
    for (unsigned round = 0; got == BLK_LATER && waits_for_blocks && is_patient(); round++) {
        uint32_t looked;
        check(round < 8, "VM %u: a write to sector %lu waits for ever", g->vm.slot, r->sector);
        g->in_device = false;
        while (disk_step(true)) continue;
        for (unsigned i = 0; i < 10; i++) (void)swap_out(&g->vm.p2m, SWAP_CLUSTER, SWAP_RANDOM, &looked);
        g->in_device = true;
        for (uint32_t i = 0; i < r->count; i++) io->changes[i] = g->page[page_at(io, i)].changes;
        got = vm_disk_start(&g->vm, r);
        happened.waited_for += got == BLK_STARTED;
    }
    starting = before;
    g->in_device = false;
    g->busy--;
    for (uint32_t i = 0; i < r->count; i++) {
        const unsigned page = page_at(io, i);
        if (p2m_entry_type(g->vm.p2m.format, entry_of(g, page)) != P2M_BALLOONED) touched(g, page);
        g->page[page].pinned += got == BLK_STARTED && holds(io, i);
    }
    if (got == BLK_STARTED) return;
    io->used = false;
    r->state = BLK_FREE;
}

void forget_io(const struct guest *g)
{
    for (unsigned i = 0; i < ARRAY_LEN(ios); i++) {
        if (ios[i].used && ios[i].guest == g) ios[i].kept = true;
    }
}
