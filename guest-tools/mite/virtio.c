// SPDX-License-Identifier: MIT
#include "virtio.h"

#include "cpu.h"
#include "memory.h"

#define RESET_TRIES 100000

uint32_t virtio_read(const struct virtio *device, uint32_t offset)
{
    return mmio_read32(device->base + offset);
}

void virtio_write(const struct virtio *device, uint32_t offset, uint32_t value)
{
    mmio_write32(device->base + offset, value);
}

bool virtio_is(uint32_t base, uint32_t device_id)
{
    struct virtio device = {.base = base};
    return virtio_read(&device, VIRTIO_MAGIC) == VIRTIO_MAGIC_VALUE &&
           virtio_read(&device, VIRTIO_VERSION) == 2 && virtio_read(&device, VIRTIO_DEVICE_ID) == device_id;
}

static bool reset(const struct virtio *device)
{
    virtio_write(device, VIRTIO_STATUS, 0);
    for (uint32_t tries = 0; tries < RESET_TRIES; tries++)
        if (virtio_read(device, VIRTIO_STATUS) == 0) return true;
    return false;
}

bool virtio_start(struct virtio *device, uint32_t base, uint64_t wanted)
{
    *device = (struct virtio){.base = base};
    if (!reset(device)) return false;
    virtio_write(device, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE);
    virtio_write(device, VIRTIO_STATUS, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    for (uint32_t half = 0; half < 2; half++) {
        virtio_write(device, VIRTIO_DEVICE_FEATURES_SELECT, half);
        uint64_t offered = virtio_read(device, VIRTIO_DEVICE_FEATURES);
        device->features |= (offered << (32 * half)) & wanted;
    }
    if (!(device->features & VIRTIO_FEATURE_VERSION_1)) return false;
    for (uint32_t half = 0; half < 2; half++) {
        virtio_write(device, VIRTIO_DRIVER_FEATURES_SELECT, half);
        virtio_write(device, VIRTIO_DRIVER_FEATURES, (uint32_t)(device->features >> (32 * half)));
    }
    uint32_t status = VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK;
    virtio_write(device, VIRTIO_STATUS, status);
    return virtio_read(device, VIRTIO_STATUS) == status;
}

static void write_address(const struct virtio *device, uint32_t offset, const void *at)
{
    virtio_write(device, offset, (uint32_t)at);
    virtio_write(device, offset + 4, 0);
}

bool virtio_add_queue(const struct virtio *device, struct virtqueue *queue, uint32_t number)
{
    memset(queue, 0, sizeof *queue);
    queue->number = number;
    queue->available.flags = AVAILABLE_NO_INTERRUPT;
    virtio_write(device, VIRTIO_QUEUE_SELECT, number);
    if (virtio_read(device, VIRTIO_QUEUE_SIZE_MAX) < QUEUE_SIZE) return false;
    virtio_write(device, VIRTIO_QUEUE_SIZE, QUEUE_SIZE);
    write_address(device, VIRTIO_QUEUE_DESCRIPTORS, queue->descriptors);
    write_address(device, VIRTIO_QUEUE_DRIVER, &queue->available);
    write_address(device, VIRTIO_QUEUE_DEVICE, &queue->used);
    virtio_write(device, VIRTIO_QUEUE_READY, 1);
    return true;
}

void virtio_run(const struct virtio *device)
{
    virtio_write(device, VIRTIO_STATUS,
                 VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK | VIRTIO_DRIVER_OK);
}

void virtqueue_offer(const struct virtio *device, struct virtqueue *queue, uint16_t head)
{
    queue->available.ring[queue->available.index % QUEUE_SIZE] = head;
    // x86 keeps stores in order; only the compiler must too.
    compiler_barrier();
    queue->available.index++;
    compiler_barrier();
    virtio_write(device, VIRTIO_QUEUE_NOTIFY, queue->number);
}

bool virtqueue_returned(struct virtqueue *queue)
{
    compiler_barrier();
    if (queue->used.index == queue->seen_used_index) return false;
    queue->seen_used_index++;
    compiler_barrier();
    return true;
}
