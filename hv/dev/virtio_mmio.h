/* SPDX-License-Identifier: MIT
 *
 * virtio over MMIO, version 2 (virtio 1.2 4.2). The transport; what hangs off it is a struct virtio_device.
 */
#ifndef TITHE_DEV_VIRTIO_MMIO_H
#define TITHE_DEV_VIRTIO_MMIO_H

#include "dev/virtqueue.h"
#include "tithe/types.h"

#define VIRTIO_QUEUES_MAX 4u

/* Device status bits (virtio 1.2 2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u

#define VIRTIO_F_VERSION_1 (1ull << 32)

struct platform;
struct virtio_mmio;

struct virtio_device {
    uint32_t id; /* virtio 1.2 5: 5 is a balloon */
    uint32_t queues;
    uint64_t features; /* offered, besides VIRTIO_F_VERSION_1 */
    uint32_t config_bytes;
    void (*driver_ok)(struct virtio_mmio *t);
    void (*reset)(struct virtio_mmio *t); /* after the transport's own reset */
    /* NULL, or: something from before a reset is under way yet, and the driver shall wait. */
    bool (*busy)(const struct virtio_mmio *t);
    /* Work on queue `queue`. True: there is more, call again soon. */
    bool (*notify)(struct virtio_mmio *t, uint32_t queue, uint64_t now_ns);
    /* Aligned 1, 2 or 4 bytes within config_bytes. */
    uint32_t (*config_read)(struct virtio_mmio *t, uint32_t offset, unsigned bytes);
    void (*config_write)(struct virtio_mmio *t, uint32_t offset, unsigned bytes, uint32_t value);
};

struct virtio_mmio {
    struct platform *platform;
    const struct virtio_device *device;
    uint32_t gsi;
    uint32_t status;
    uint32_t interrupt; /* bit 0: used buffer, bit 1: configuration changed */
    uint32_t device_features_select, driver_features_select;
    uint64_t driver_features;
    uint32_t queue_select;
    uint32_t config_generation;
    uint32_t pending; /* queues with work left over, one bit each */
    struct virtqueue queue[VIRTIO_QUEUES_MAX];
};

void virtio_mmio_init(struct virtio_mmio *t, struct platform *platform, const struct virtio_device *device,
                      uint32_t gsi);
void virtio_mmio_reset(struct virtio_mmio *t);
/* offset within the window; bytes 1, 2, 4 (8 reads zero and is ignored when written). */
uint32_t virtio_mmio_read(struct virtio_mmio *t, uint32_t offset, unsigned bytes);
void virtio_mmio_write(struct virtio_mmio *t, uint32_t offset, unsigned bytes, uint32_t value,
                       uint64_t now_ns);
/* Works on what an earlier notification left over. True: there is still more. */
bool virtio_mmio_poll(struct virtio_mmio *t, uint64_t now_ns);
bool virtio_mmio_running(const struct virtio_mmio *t);
/* As the driver's notification of this queue. */
void virtio_mmio_notify(struct virtio_mmio *t, uint32_t queue, uint64_t now_ns);

/* ---- for devices ---- */
void virtio_mmio_config_changed(struct virtio_mmio *t);
MUST_CHECK enum virtq_pop virtio_mmio_pop(struct virtio_mmio *t, uint32_t queue, struct virtq_chain *chain);
/* False: the guest's memory is not to be had just now; nothing was done. */
MUST_CHECK bool virtio_mmio_push(struct virtio_mmio *t, uint32_t queue, uint16_t head, uint32_t written);
/* The driver broke the rules: sets NEEDS_RESET and tells it. */
void virtio_mmio_broken(struct virtio_mmio *t);

#endif
