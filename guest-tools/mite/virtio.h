// SPDX-License-Identifier: MIT
// The driver's side of virtio-mmio version 2 and of split virtqueues (virtio 1.2, 4.2 and 2.7).
// Everything is polled: no interrupt is asked for.
#ifndef MITE_VIRTIO_H
#define MITE_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VIRTIO_MAGIC = 0x000,
    VIRTIO_VERSION = 0x004,
    VIRTIO_DEVICE_ID = 0x008,
    VIRTIO_DEVICE_FEATURES = 0x010,
    VIRTIO_DEVICE_FEATURES_SELECT = 0x014,
    VIRTIO_DRIVER_FEATURES = 0x020,
    VIRTIO_DRIVER_FEATURES_SELECT = 0x024,
    VIRTIO_QUEUE_SELECT = 0x030,
    VIRTIO_QUEUE_SIZE_MAX = 0x034,
    VIRTIO_QUEUE_SIZE = 0x038,
    VIRTIO_QUEUE_READY = 0x044,
    VIRTIO_QUEUE_NOTIFY = 0x050,
    VIRTIO_INTERRUPT_STATUS = 0x060,
    VIRTIO_INTERRUPT_ACK = 0x064,
    VIRTIO_STATUS = 0x070,
    VIRTIO_QUEUE_DESCRIPTORS = 0x080, // each address is a low and a high word
    VIRTIO_QUEUE_DRIVER = 0x090,
    VIRTIO_QUEUE_DEVICE = 0x0A0,
    VIRTIO_CONFIG = 0x100,
};

#define VIRTIO_MAGIC_VALUE 0x74726976U

enum {
    VIRTIO_ACKNOWLEDGE = 1,
    VIRTIO_DRIVER = 2,
    VIRTIO_DRIVER_OK = 4,
    VIRTIO_FEATURES_OK = 8,
    VIRTIO_NEEDS_RESET = 64,
};

#define VIRTIO_FEATURE_VERSION_1 (1ULL << 32)

enum {
    DESCRIPTOR_NEXT = 1,
    DESCRIPTOR_WRITE = 2,
    DESCRIPTOR_INDIRECT = 4,
    AVAILABLE_NO_INTERRUPT = 1,
};

#define QUEUE_SIZE 16

struct descriptor {
    uint64_t address;
    uint32_t length_bytes;
    uint16_t flags;
    uint16_t next;
};

struct virtqueue {
    struct descriptor descriptors[QUEUE_SIZE];
    struct {
        uint16_t flags;
        uint16_t index;
        uint16_t ring[QUEUE_SIZE];
        uint16_t used_event;
    } available;
    struct {
        uint16_t flags;
        uint16_t index;
        struct {
            uint32_t id;
            uint32_t length_bytes;
        } ring[QUEUE_SIZE];
        uint16_t available_event;
    } used __attribute__((aligned(4)));
    uint32_t number;
    uint16_t seen_used_index;
} __attribute__((aligned(16)));

struct virtio {
    uint32_t base;
    uint64_t features; // agreed on
};

// Whether a version 2 device of this type answers at `base`.
bool virtio_is(uint32_t base, uint32_t device_id);

uint32_t virtio_read(const struct virtio *device, uint32_t offset);
void virtio_write(const struct virtio *device, uint32_t offset, uint32_t value);

// Resets the device and agrees on those of the `wanted` features that it offers. False if it
// refuses, lacks VIRTIO_F_VERSION_1 or does not come out of reset.
bool virtio_start(struct virtio *device, uint32_t base, uint64_t wanted);

// Between virtio_start() and virtio_run(). Clears `queue`. False if the device has no such queue.
bool virtio_add_queue(const struct virtio *device, struct virtqueue *queue, uint32_t number);

void virtio_run(const struct virtio *device);

// Offers the chain that begins at descriptor `head`, and tells the device.
void virtqueue_offer(const struct virtio *device, struct virtqueue *queue, uint16_t head);

// Whether the device has given back a chain since the last time this was true.
bool virtqueue_returned(struct virtqueue *queue);

#endif
