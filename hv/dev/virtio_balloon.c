/* SPDX-License-Identifier: MIT */
#include "dev/virtio_balloon.h"

#include "dev/platform.h"
#include "lib/string.h"

/* Queues of features that are not offered are left out of the count: there is no free page hinting (virtio 1.2 5.5.2). */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING, QUEUES };

/* virtio 1.2 5.5.4 */
#define CONFIG_ACTUAL 4u
#define CONFIG_POISON 12u
#define CONFIG_BYTES  16u

/* What a message costs besides its PFNs, in PFNs: empty messages are not free of charge. */
#define MESSAGE_PFNS 64u

/* One statistic (virtio 1.2 5.5.6.3). */
struct __attribute__((packed)) stat {
    uint16_t tag;
    uint64_t value;
};
enum {
    STAT_SWAP_IN,
    STAT_SWAP_OUT,
    STAT_MAJOR_FAULTS,
    STAT_MINOR_FAULTS,
    STAT_FREE,
    STAT_TOTAL,
    STAT_AVAILABLE,
    STAT_CACHES
};
#define STATS_MAX 32u

static struct virtio_balloon *balloon_of(struct virtio_mmio *t)
{
    return &t->platform->balloon;
}

static void forget_driver(struct virtio_balloon *b)
{
    b->driver_up = b->stats_held = false;
    b->actual = b->poison = 0;
    memset(&b->stats, 0xFF, sizeof b->stats);
    b->stats.updated_ns = 0;
}

void virtio_balloon_init(struct virtio_balloon *b)
{
    memset(b, 0, sizeof *b);
    forget_driver(b);
}

void virtio_balloon_target(struct virtio_balloon *b, struct virtio_mmio *t, uint64_t pages)
{
    const uint32_t num_pages = pages < UINT32_MAX ? (uint32_t)pages : UINT32_MAX;
    if (num_pages == b->num_pages) return;
    b->num_pages = num_pages;
    virtio_mmio_config_changed(t);
}

static void driver_ok(struct virtio_mmio *t)
{
    balloon_of(t)->driver_up = true;
    t->platform->ops->balloon_driver(t->platform->ctx, true);
}

static void reset(struct virtio_mmio *t)
{
    const bool was_up = balloon_of(t)->driver_up;
    forget_driver(balloon_of(t));
    if (was_up) t->platform->ops->balloon_driver(t->platform->ctx, false);
}

/* ---- inflating and deflating ---- */

/* Hands the page numbers of one message to the core, at most BALLOON_WORK_PFNS of them: no driver has a reason to
 * send more at once, and pages that were not taken are simply still the guest's. Returns how many it read. *away: not all could be
 * read just now; to do the message again then does no harm. */
static uint32_t work_message(struct virtio_mmio *t, uint32_t queue, const struct virtq_chain *chain,
                             bool *away)
{
    struct platform *p = t->platform;
    struct virtio_balloon *b = balloon_of(t);
    uint32_t done = 0;
    while (done < BALLOON_WORK_PFNS) {
        const int64_t bytes =
            virtq_chain_read(chain, p, (uint64_t)done * sizeof b->pfns[0], b->pfns, sizeof b->pfns);
        if (bytes < 0) {
            *away = platform_mem_away(p);
            if (!*away) virtio_mmio_broken(t);
            break;
        }
        const uint32_t count = (uint32_t)bytes / sizeof b->pfns[0];
        if (count == 0) break;
        if (queue == QUEUE_INFLATE) {
            b->inflated_pfns += p->ops->balloon_give(p->ctx, b->pfns, count);
        } else {
            b->deflated_pfns += p->ops->balloon_take(p->ctx, b->pfns, count);
        }
        done += count;
    }
    b->messages++;
    return done;
}

static bool work_queue(struct virtio_mmio *t, uint32_t queue)
{
    struct virtq_chain chain;
    uint32_t work = 0;
    while (work < BALLOON_WORK_PFNS) {
        bool away = false;
        const enum virtq_pop pop = virtio_mmio_pop(t, queue, &chain);
        if (pop != VIRTQ_CHAIN) return pop == VIRTQ_AWAY;
        work += MESSAGE_PFNS + work_message(t, queue, &chain, &away);
        if (!virtio_mmio_running(t)) return false;
        if (away || !virtio_mmio_push(t, queue, chain.head, 0)) {
            virtqueue_unpop(&t->queue[queue]);
            return true;
        }
    }
    return true;
}

/* ---- free page reporting ---- */

/* The whole pages of a buffer, of which `left` still may be taken. */
static struct balloon_range range_of(const struct virtq_segment *s, uint32_t left)
{
    const uint64_t gfn = (s->gpa + PAGE_BYTES - 1) >> PAGE_SHIFT, end = (s->gpa + s->bytes) >> PAGE_SHIFT;
    const uint64_t count = end > gfn ? end - gfn : 0;
    return (struct balloon_range){.gfn = gfn, .count = count < left ? count : left};
}

/* The buffers of a message are the free pages themselves. The driver keeps them out of use till it has them back, so their
 * contents may go (virtio 1.2 5.5.6.7). Not, though, when it fills free pages with a value that it expects to find again:
 * ours would be zero. What is beyond the limit, or no RAM, simply stays the guest's. Returns how many pages were looked at. */
static uint32_t report_message(struct virtio_mmio *t, const struct virtq_chain *chain)
{
    struct platform *p = t->platform;
    struct virtio_balloon *b = balloon_of(t);
    const bool poisoned = (t->driver_features & VIRTIO_BALLOON_F_PAGE_POISON) != 0 && b->poison != 0;
    struct balloon_range ranges[VIRTQUEUE_SIZE_MAX];
    uint32_t count = 0, pages = 0;
    for (unsigned i = chain->readable; i < chain->count && !poisoned; i++) {
        ranges[count] = range_of(&chain->segment[i], BALLOON_REPORT_PAGES - pages);
        pages += (uint32_t)ranges[count++].count;
    }
    if (pages > 0) b->reported_pages += p->ops->balloon_report(p->ctx, ranges, count);
    b->messages++;
    return pages;
}

static bool work_reports(struct virtio_mmio *t)
{
    struct virtq_chain chain;
    uint32_t work = 0;
    if ((t->driver_features & VIRTIO_BALLOON_F_PAGE_REPORTING) == 0) return false;
    while (work < BALLOON_REPORT_PAGES) {
        const enum virtq_pop pop = virtio_mmio_pop(t, QUEUE_REPORTING, &chain);
        if (pop != VIRTQ_CHAIN) return pop == VIRTQ_AWAY;
        work += MESSAGE_PFNS + report_message(t, &chain);
        if (!virtio_mmio_push(t, QUEUE_REPORTING, chain.head, 0)) {
            virtqueue_unpop(&t->queue[QUEUE_REPORTING]);
            return true;
        }
    }
    return true;
}

/* ---- statistics ---- */

static void take_stat(struct tithe_guest_stats *s, const struct stat *stat)
{
    const uint64_t pages = stat->value >> PAGE_SHIFT;
    switch (stat->tag) {
    case STAT_SWAP_IN: s->swap_in_bytes = stat->value; break;
    case STAT_SWAP_OUT: s->swap_out_bytes = stat->value; break;
    case STAT_MAJOR_FAULTS: s->major_faults = stat->value; break;
    case STAT_MINOR_FAULTS: s->minor_faults = stat->value; break;
    case STAT_FREE: s->free_pages = pages; break;
    case STAT_TOTAL: s->total_pages = pages; break;
    case STAT_AVAILABLE: s->available_pages = pages; break;
    case STAT_CACHES: s->disk_cache_pages = pages; break;
    default: /* the spec says to skip what one does not know */ break;
    }
}

/* The driver has filled its buffer; it stays here until somebody asks for the next. */
static bool take_stats(struct virtio_mmio *t, uint64_t now_ns)
{
    struct virtio_balloon *b = balloon_of(t);
    struct virtq_chain chain;
    struct stat stats[STATS_MAX];
    const enum virtq_pop pop = b->stats_held ? VIRTQ_EMPTY : virtio_mmio_pop(t, QUEUE_STATS, &chain);
    if (pop != VIRTQ_CHAIN) return pop == VIRTQ_AWAY;
    const int64_t bytes = virtq_chain_read(&chain, t->platform, 0, stats, sizeof stats);
    if (bytes < 0) {
        if (platform_mem_away(t->platform)) {
            virtqueue_unpop(&t->queue[QUEUE_STATS]);
            return true;
        }
        virtio_mmio_broken(t);
        return false;
    }
    for (size_t i = 0; i < (size_t)bytes / sizeof stats[0]; i++) take_stat(&b->stats, &stats[i]);
    b->stats.updated_ns = now_ns;
    b->stats_held = true;
    b->stats_head = chain.head;
    return false;
}

void virtio_balloon_poll_stats(struct virtio_balloon *b, struct virtio_mmio *t)
{
    if (!b->stats_held || !virtio_mmio_running(t) || !t->queue[QUEUE_STATS].ready) return;
    b->stats_held = !virtio_mmio_push(t, QUEUE_STATS, b->stats_head, 0);
}

static bool notify(struct virtio_mmio *t, uint32_t queue, uint64_t now_ns)
{
    switch (queue) {
    case QUEUE_STATS: return take_stats(t, now_ns);
    case QUEUE_REPORTING: return work_reports(t);
    default: return work_queue(t, queue);
    }
}

/* ---- configuration ---- */

static uint32_t config_read(struct virtio_mmio *t, uint32_t offset, unsigned bytes)
{
    const struct virtio_balloon *b = balloon_of(t);
    const uint32_t words[CONFIG_BYTES / 4] = {b->num_pages, b->actual, 0, b->poison};
    return words[offset / 4] >> 8 * (offset & 3) & (bytes == 4 ? UINT32_MAX : (1u << 8 * bytes) - 1);
}

static void config_write(struct virtio_mmio *t, uint32_t offset, unsigned bytes, uint32_t value)
{
    if (offset == CONFIG_ACTUAL && bytes == 4) balloon_of(t)->actual = value;
    if (offset == CONFIG_POISON && bytes == 4) balloon_of(t)->poison = value;
}

const struct virtio_device virtio_balloon_device = {
    .id = VIRTIO_ID_BALLOON,
    .queues = QUEUES,
    .features = VIRTIO_BALLOON_F_MUST_TELL_HOST | VIRTIO_BALLOON_F_STATS_VQ |
                VIRTIO_BALLOON_F_DEFLATE_ON_OOM | VIRTIO_BALLOON_F_PAGE_POISON |
                VIRTIO_BALLOON_F_PAGE_REPORTING,
    .config_bytes = CONFIG_BYTES,
    .driver_ok = driver_ok,
    .reset = reset,
    .notify = notify,
    .config_read = config_read,
    .config_write = config_write,
};
