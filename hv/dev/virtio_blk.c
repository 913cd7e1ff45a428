/* SPDX-License-Identifier: MIT */
#include "dev/virtio_blk.h"

#include "dev/platform.h"
#include "lib/string.h"

/* virtio 1.2 5.2.4: only these words of the configuration are not zero. */
#define CONFIG_SIZE_MAX 8u
#define CONFIG_SEG_MAX  12u
#define CONFIG_BYTES    24u

/* virtio 1.2 5.2.6 */
struct header {
    uint32_t type, reserved;
    uint64_t sector;
};

static struct virtio_blk *blk_of(struct virtio_mmio *t)
{
    return t->platform->blk;
}

void virtio_blk_init(struct virtio_blk *b, uint64_t sectors)
{
    memset(b, 0, sizeof *b);
    b->sectors = sectors;
}

static void driver_ok(struct virtio_mmio *t)
{
    (void)t;
}

/* What is under way goes on; nobody waits for it but who reads the status (virtio 1.2 2.4.1). */
static void reset(struct virtio_mmio *t)
{
    struct virtio_blk *b = blk_of(t);
    b->epoch++;
    for (unsigned i = 0; i < BLK_REQUESTS; i++) {
        if (b->request[i].state != BLK_BUSY) b->request[i].state = BLK_FREE;
    }
}

static bool busy(const struct virtio_mmio *t)
{
    return t->platform->blk->busy != 0;
}

/* ---- from a chain to a request ---- */

/* Adds a part of a segment, cut at page boundaries. False: too long, or not to be had by DMA. */
static bool add(struct blk_request *r, gpa_t gpa, uint64_t bytes)
{
    if (bytes > BLK_SECTORS_MAX * BLK_SECTOR_BYTES - r->bytes || ((gpa | bytes) & 1) != 0) return false;
    r->bytes += (uint32_t)bytes;
    while (bytes > 0) {
        const uint64_t room = PAGE_BYTES - (gpa & (PAGE_BYTES - 1)), part = bytes < room ? bytes : room;
        if (r->count == BLK_PIECES_MAX) return false;
        r->piece[r->count++] = (struct blk_piece){.gpa = gpa, .bytes = (uint32_t)part};
        gpa += part;
        bytes -= part;
    }
    return true;
}

/* All but the first `skip` bytes of the segments from `first` below `end`, and but the last `spare` bytes of the last. */
static bool add_segments(struct blk_request *r, const struct virtq_chain *chain, unsigned first, unsigned end,
                         uint64_t skip, uint32_t spare)
{
    for (unsigned i = first; i < end; i++) {
        const struct virtq_segment *s = &chain->segment[i];
        const uint64_t bytes = s->bytes - (i == end - 1 ? spare : 0), left = skip < bytes ? bytes - skip : 0;
        if (left != 0 && !add(r, s->gpa + (bytes - left), left)) return false;
        skip -= bytes - left;
    }
    return true;
}

static enum blk_result check(const struct virtio_blk *b, struct blk_request *r,
                             const struct virtq_chain *chain, const struct header *h)
{
    bool fits = true;
    r->count = 0;
    r->bytes = 0;
    r->sector = h->sector;
    r->op = (enum blk_op)h->type;
    switch (h->type) {
    case BLK_READ: fits = add_segments(r, chain, chain->readable, chain->count, 0, 1); break;
    case BLK_WRITE: fits = add_segments(r, chain, 0, chain->readable, sizeof *h, 0); break;
    case BLK_FLUSH: return BLK_OK;
    default: return BLK_UNSUPPORTED;
    }
    const uint64_t sectors = r->bytes / BLK_SECTOR_BYTES;
    const bool good = fits && r->bytes != 0 && r->bytes % BLK_SECTOR_BYTES == 0 && r->sector <= b->sectors &&
                      sectors <= b->sectors - r->sector;
    return good ? BLK_OK : BLK_IO_ERROR;
}

/* False: the chain has no room for what every request has, or cannot be read. */
static bool take(struct virtio_mmio *t, struct blk_request *r, const struct virtq_chain *chain)
{
    struct header h;
    if (chain->count == chain->readable) return false;
    const struct virtq_segment *last = &chain->segment[chain->count - 1];
    if (last->bytes == 0 || virtq_chain_read(chain, t->platform, 0, &h, sizeof h) != sizeof h) return false;
    r->head = chain->head;
    r->epoch = blk_of(t)->epoch;
    r->status_gpa = last->gpa + last->bytes - 1;
    r->result = check(blk_of(t), r, chain, &h);
    r->state = r->result == BLK_OK ? BLK_WAITING : BLK_ENDED;
    return true;
}

/* ---- from a request to its end; false: try again later ---- */

static bool start(struct virtio_mmio *t, struct blk_request *r)
{
    const enum blk_start start = t->platform->ops->disk_start(t->platform->ctx, r);
    if (start == BLK_LATER) return false;
    r->state = start == BLK_STARTED ? BLK_BUSY : BLK_ENDED;
    r->result = BLK_IO_ERROR;
    blk_of(t)->busy += start == BLK_STARTED;
    return true;
}

static bool give_back(struct virtio_mmio *t, struct blk_request *r)
{
    const uint8_t status = (uint8_t)r->result;
    const uint32_t read = r->op == BLK_READ && r->result == BLK_OK ? r->bytes : 0;
    if (!t->platform->ops->mem_write(t->platform->ctx, r->status_gpa, &status, 1)) {
        if (platform_mem_away(t->platform)) return false;
        virtio_mmio_broken(t);
    } else if (!virtio_mmio_push(t, 0, r->head, read + 1)) {
        return false;
    }
    r->state = BLK_FREE;
    blk_of(t)->requests++;
    blk_of(t)->errors += r->result == BLK_IO_ERROR;
    return true;
}

static struct blk_request *find(struct virtio_blk *b, enum blk_state state)
{
    for (unsigned i = 0; i < BLK_REQUESTS; i++) {
        if (b->request[i].state == state) return &b->request[i];
    }
    return NULL;
}

/* The next request to do something about; NULL: there is none. *away: there may be one later. */
static struct blk_request *next(struct virtio_mmio *t, bool *away)
{
    struct virtio_blk *b = blk_of(t);
    struct virtq_chain chain;
    *away = false;
    struct blk_request *r = find(b, BLK_ENDED);
    if (r == NULL) r = find(b, BLK_WAITING);
    if (r != NULL) return r;
    r = find(b, BLK_FREE);
    if (r == NULL) return NULL; /* the next that ends comes by here */
    const enum virtq_pop pop = virtio_mmio_pop(t, 0, &chain);
    *away = pop == VIRTQ_AWAY;
    if (pop != VIRTQ_CHAIN) return NULL;
    if (take(t, r, &chain)) return r;
    *away = platform_mem_away(t->platform);
    if (*away)
        virtqueue_unpop(&t->queue[0]);
    else
        virtio_mmio_broken(t);
    return NULL;
}

static bool notify(struct virtio_mmio *t, uint32_t queue, uint64_t now_ns)
{
    const uint32_t size = t->queue[queue].size;
    bool away;
    (void)now_ns;
    for (unsigned i = 0; i < size && virtio_mmio_running(t); i++) {
        struct blk_request *r = next(t, &away);
        if (r == NULL) return away;
        if (r->state == BLK_WAITING && !start(t, r)) return true;
        if (r->state == BLK_ENDED && !give_back(t, r)) return true;
    }
    return virtio_mmio_running(t);
}

void virtio_blk_done(struct virtio_mmio *t, struct blk_request *r, bool ok, uint64_t now_ns)
{
    struct virtio_blk *b = blk_of(t);
    b->busy--;
    r->state = r->epoch == b->epoch ? BLK_ENDED : BLK_FREE;
    r->result = ok ? BLK_OK : BLK_IO_ERROR;
    virtio_mmio_notify(t, 0, now_ns); /* gives it back; and others may have waited for this one */
}

/* ---- configuration ---- */

static uint32_t config_read(struct virtio_mmio *t, uint32_t offset, unsigned bytes)
{
    const uint64_t sectors = blk_of(t)->sectors;
    const uint32_t words[CONFIG_BYTES / 4] = {(uint32_t)sectors, (uint32_t)(sectors >> 32),
                                              [CONFIG_SIZE_MAX / 4] = PAGE_BYTES,
                                              [CONFIG_SEG_MAX / 4] = BLK_SEG_MAX};
    return words[offset / 4] >> 8 * (offset & 3) & (bytes == 4 ? UINT32_MAX : (1u << 8 * bytes) - 1);
}

static void config_write(struct virtio_mmio *t, uint32_t offset, unsigned bytes, uint32_t value)
{
    (void)t, (void)offset, (void)bytes, (void)value;
}

const struct virtio_device virtio_blk_device = {
    .id = VIRTIO_ID_BLOCK,
    .queues = 1,
    .features = VIRTIO_BLK_F_SIZE_MAX | VIRTIO_BLK_F_SEG_MAX | VIRTIO_BLK_F_FLUSH,
    .config_bytes = CONFIG_BYTES,
    .driver_ok = driver_ok,
    .reset = reset,
    .busy = busy,
    .notify = notify,
    .config_read = config_read,
    .config_write = config_write,
};
