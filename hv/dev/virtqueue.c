/* SPDX-License-Identifier: MIT */
#include "dev/virtqueue.h"

#include "dev/platform.h"
#include "lib/string.h"

#define DESC_NEXT          1u
#define DESC_WRITE         2u
#define DESC_INDIRECT      4u
#define AVAIL_NO_INTERRUPT 1u

/* Rings are little-endian, as we are (virtio 1.2 2.7.5-2.7.8). */
struct descriptor {
    uint64_t gpa;
    uint32_t bytes;
    uint16_t flags, next;
};

struct used_element {
    uint32_t id, bytes;
};

#define RING_FLAGS   0u
#define RING_INDEX   2u
#define RING_ENTRIES 4u

void virtqueue_reset(struct virtqueue *q)
{
    memset(q, 0, sizeof *q);
}

static bool fits(gpa_t base, uint64_t bytes, uint64_t align)
{
    return base % align == 0 && base + bytes > base;
}

bool virtqueue_valid(const struct virtqueue *q)
{
    if (q->size == 0 || q->size > VIRTQUEUE_SIZE_MAX || (q->size & (q->size - 1)) != 0) return false;
    return fits(q->desc, sizeof(struct descriptor) * q->size, 16) &&
           fits(q->avail, RING_ENTRIES + 2ull * q->size + 2, 2) &&
           fits(q->used, RING_ENTRIES + sizeof(struct used_element) * q->size + 2, 4);
}

static bool read_guest(struct platform *p, gpa_t gpa, void *out, size_t bytes)
{
    return p->ops->mem_read(p->ctx, gpa, out, bytes);
}

static bool write_guest(struct platform *p, gpa_t gpa, const void *in, size_t bytes)
{
    return p->ops->mem_write(p->ctx, gpa, in, bytes);
}

/* Collects the chain that starts at chain->head. False: against the rules (virtio 1.2 2.7.5). */
static bool follow(const struct virtqueue *q, struct platform *p, struct virtq_chain *chain)
{
    uint32_t index = chain->head;
    struct descriptor d;
    chain->readable = chain->count = 0;
    do {
        if (index >= q->size || chain->count == q->size) return false; /* out of the table, or a loop */
        if (!read_guest(p, q->desc + index * sizeof d, &d, sizeof d)) return false;
        if ((d.flags & DESC_INDIRECT) != 0 || d.gpa + d.bytes < d.gpa)
            return false; /* indirect: not offered */
        if ((d.flags & DESC_WRITE) == 0) {
            if (chain->readable != chain->count) return false; /* readable ones come first */
            chain->readable++;
        }
        chain->segment[chain->count++] = (struct virtq_segment){.gpa = d.gpa, .bytes = d.bytes};
        index = d.next;
    } while ((d.flags & DESC_NEXT) != 0);
    return true;
}

enum virtq_pop virtqueue_pop(struct virtqueue *q, struct platform *p, struct virtq_chain *chain)
{
    uint16_t index;
    if (!read_guest(p, q->avail + RING_INDEX, &index, sizeof index)) return VIRTQ_BROKEN;
    const uint16_t waiting = (uint16_t)(index - q->next_avail);
    if (waiting == 0) return VIRTQ_EMPTY;
    if (waiting > q->size) return VIRTQ_BROKEN;
    __atomic_thread_fence(__ATOMIC_ACQUIRE); /* the index first, then what it announces */
    const uint32_t place = q->next_avail & (q->size - 1);
    if (!read_guest(p, q->avail + RING_ENTRIES + 2ull * place, &chain->head, sizeof chain->head))
        return VIRTQ_BROKEN;
    if (!follow(q, p, chain)) return VIRTQ_BROKEN;
    q->next_avail++;
    return VIRTQ_CHAIN;
}

void virtqueue_unpop(struct virtqueue *q)
{
    q->next_avail--;
}

bool virtqueue_push(struct virtqueue *q, struct platform *p, uint16_t head, uint32_t written, bool *interrupt)
{
    const struct used_element element = {.id = head, .bytes = written};
    const uint32_t place = q->next_used & (q->size - 1);
    const uint16_t index = (uint16_t)(q->next_used + 1);
    uint16_t flags = 0;
    *interrupt = false;
    if (!write_guest(p, q->used + RING_ENTRIES + sizeof element * place, &element, sizeof element))
        return false;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    if (!write_guest(p, q->used + RING_INDEX, &index, sizeof index)) return false;
    q->next_used = index;
    /* Not to be had just now: an interrupt too many does no harm. */
    if (!read_guest(p, q->avail + RING_FLAGS, &flags, sizeof flags) && !platform_mem_away(p)) return false;
    *interrupt = (flags & AVAIL_NO_INTERRUPT) == 0;
    return true;
}

int64_t virtq_chain_read(const struct virtq_chain *chain, struct platform *p, uint64_t offset, void *out,
                         size_t bytes)
{
    uint8_t *to = out;
    size_t done = 0;
    for (unsigned i = 0; i < chain->readable && done < bytes; i++) {
        const struct virtq_segment *s = &chain->segment[i];
        if (offset >= s->bytes) {
            offset -= s->bytes;
            continue;
        }
        const uint64_t there = s->bytes - offset;
        const size_t part = there < bytes - done ? (size_t)there : bytes - done;
        if (!read_guest(p, s->gpa + offset, to + done, part)) return -1;
        done += part;
        offset = 0;
    }
    return (int64_t)done;
}

uint64_t virtq_chain_readable_bytes(const struct virtq_chain *chain)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < chain->readable; i++) sum += chain->segment[i].bytes;
    return sum;
}
