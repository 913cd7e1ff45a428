/* SPDX-License-Identifier: MIT
 *
 * A split virtqueue, the device's side (virtio 1.2 2.7). The rings live in the guest's memory and are hostile:
 * every index, length and address is checked when it is read, and no chain is followed further than the queue is long.
 */
#ifndef TITHE_DEV_VIRTQUEUE_H
#define TITHE_DEV_VIRTQUEUE_H

#include "tithe/types.h"

#define VIRTQUEUE_SIZE_MAX 128u

struct platform;

struct virtqueue {
    uint32_t size; /* entries; a power of two up to VIRTQUEUE_SIZE_MAX */
    bool ready;
    gpa_t desc, avail, used;
    uint16_t next_avail; /* of the free-running indices */
    uint16_t next_used;
};

struct virtq_segment {
    gpa_t gpa;
    uint32_t bytes;
};

/* One request: its device-readable part, then its device-writable part. */
struct virtq_chain {
    uint16_t head;
    uint16_t readable, count; /* segments */
    struct virtq_segment segment[VIRTQUEUE_SIZE_MAX];
};

enum virtq_pop {
    VIRTQ_EMPTY,
    VIRTQ_CHAIN,  /* *chain is filled: it is to be pushed back some time */
    VIRTQ_AWAY,   /* memory of the queue is not to be had just now: try again later */
    VIRTQ_BROKEN, /* the driver broke the rules: the device needs a reset */
};

void virtqueue_reset(struct virtqueue *q);
/* Is this a queue that may be made ready? (size a power of two, addresses aligned and not wrapping) */
bool virtqueue_valid(const struct virtqueue *q);
MUST_CHECK enum virtq_pop virtqueue_pop(struct virtqueue *q, struct platform *p, struct virtq_chain *chain);
/* The chain popped last is to be popped again. */
void virtqueue_unpop(struct virtqueue *q);
/* Gives a chain back with `written` bytes written to it. False: the used ring is not RAM. *interrupt: the
 * driver wants to be told. */
MUST_CHECK bool virtqueue_push(struct virtqueue *q, struct platform *p, uint16_t head, uint32_t written,
                               bool *interrupt);
/* Copies up to `bytes` of the readable part from `offset` on; how many, or -1 when an address is not RAM. */
int64_t virtq_chain_read(const struct virtq_chain *chain, struct platform *p, uint64_t offset, void *out,
                         size_t bytes);
uint64_t virtq_chain_readable_bytes(const struct virtq_chain *chain);

#endif
