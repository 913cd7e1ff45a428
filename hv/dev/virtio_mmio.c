/* SPDX-License-Identifier: MIT */
#include "dev/virtio_mmio.h"

#include "dev/platform.h"
#include "lib/string.h"

/* virtio 1.2 table 4.1 */
enum {
    REG_MAGIC = 0x000,
    REG_VERSION = 0x004,
    REG_DEVICE_ID = 0x008,
    REG_VENDOR_ID = 0x00C,
    REG_DEVICE_FEATURES = 0x010,
    REG_DEVICE_FEATURES_SELECT = 0x014,
    REG_DRIVER_FEATURES = 0x020,
    REG_DRIVER_FEATURES_SELECT = 0x024,
    REG_QUEUE_SELECT = 0x030,
    REG_QUEUE_SIZE_MAX = 0x034,
    REG_QUEUE_SIZE = 0x038,
    REG_QUEUE_READY = 0x044,
    REG_QUEUE_NOTIFY = 0x050,
    REG_INTERRUPT_STATUS = 0x060,
    REG_INTERRUPT_ACK = 0x064,
    REG_STATUS = 0x070,
    REG_DESC_LOW = 0x080,
    REG_DESC_HIGH = 0x084,
    REG_AVAIL_LOW = 0x090,
    REG_AVAIL_HIGH = 0x094,
    REG_USED_LOW = 0x0A0,
    REG_USED_HIGH = 0x0A4,
    REG_SHM_LENGTH_LOW = 0x0B0,
    REG_SHM_BASE_HIGH = 0x0BC,
    REG_CONFIG_GENERATION = 0x0FC,
    REG_CONFIG = 0x100,
};

#define MAGIC     0x74726976u /* "virt" */
#define VENDOR_ID 0x48544954u /* "TITH" */

#define INTERRUPT_USED   1u
#define INTERRUPT_CONFIG 2u

static void set_interrupt(struct virtio_mmio *t, uint32_t interrupt)
{
    const bool was = t->interrupt != 0;
    t->interrupt = interrupt;
    if ((interrupt != 0) != was) platform_gsi(t->platform, t->gsi, interrupt != 0);
}

void virtio_mmio_init(struct virtio_mmio *t, struct platform *platform, const struct virtio_device *device,
                      uint32_t gsi)
{
    memset(t, 0, sizeof *t);
    t->platform = platform;
    t->device = device;
    t->gsi = gsi;
}

void virtio_mmio_reset(struct virtio_mmio *t)
{
    t->status = 0;
    set_interrupt(t, 0);
    t->device_features_select = t->driver_features_select = 0;
    t->driver_features = 0;
    t->queue_select = 0;
    t->pending = 0;
    for (unsigned i = 0; i < VIRTIO_QUEUES_MAX; i++) virtqueue_reset(&t->queue[i]);
    t->device->reset(t);
}

bool virtio_mmio_running(const struct virtio_mmio *t)
{
    return (t->status & (VIRTIO_STATUS_DRIVER_OK | VIRTIO_STATUS_NEEDS_RESET)) == VIRTIO_STATUS_DRIVER_OK;
}

/* ---- for devices ---- */

void virtio_mmio_config_changed(struct virtio_mmio *t)
{
    t->config_generation++;
    if (virtio_mmio_running(t)) set_interrupt(t, t->interrupt | INTERRUPT_CONFIG);
}

void virtio_mmio_broken(struct virtio_mmio *t)
{
    t->status |= VIRTIO_STATUS_NEEDS_RESET;
    t->pending = 0;
    set_interrupt(t, t->interrupt | INTERRUPT_CONFIG); /* virtio 1.2 2.1.2 */
}

enum virtq_pop virtio_mmio_pop(struct virtio_mmio *t, uint32_t queue, struct virtq_chain *chain)
{
    struct virtqueue *q = &t->queue[queue];
    if (!virtio_mmio_running(t) || !q->ready) return VIRTQ_EMPTY;
    const enum virtq_pop result = virtqueue_pop(q, t->platform, chain);
    if (result == VIRTQ_BROKEN && platform_mem_away(t->platform)) return VIRTQ_AWAY;
    if (result == VIRTQ_BROKEN) virtio_mmio_broken(t);
    return result;
}

bool virtio_mmio_push(struct virtio_mmio *t, uint32_t queue, uint16_t head, uint32_t written)
{
    bool interrupt;
    if (!virtqueue_push(&t->queue[queue], t->platform, head, written, &interrupt)) {
        if (platform_mem_away(t->platform)) return false;
        virtio_mmio_broken(t);
    } else if (interrupt) {
        set_interrupt(t, t->interrupt | INTERRUPT_USED);
    }
    return true;
}

/* ---- registers ---- */

static uint64_t offered(const struct virtio_mmio *t)
{
    return t->device->features | VIRTIO_F_VERSION_1;
}

static struct virtqueue *selected(struct virtio_mmio *t)
{
    return t->queue_select < t->device->queues ? &t->queue[t->queue_select] : NULL;
}

static bool in_config(const struct virtio_mmio *t, uint32_t offset, unsigned bytes)
{
    return offset >= REG_CONFIG && offset % bytes == 0 &&
           offset - REG_CONFIG + bytes <= t->device->config_bytes;
}

/* A reset is over when the driver reads 0 (virtio 1.2 2.4.2). */
static uint32_t read_status(const struct virtio_mmio *t)
{
    const bool resetting = t->status == 0 && t->device->busy != NULL && t->device->busy(t);
    return resetting ? VIRTIO_STATUS_NEEDS_RESET : t->status;
}

uint32_t virtio_mmio_read(struct virtio_mmio *t, uint32_t offset, unsigned bytes)
{
    if (offset >= REG_CONFIG) {
        return in_config(t, offset, bytes) ? t->device->config_read(t, offset - REG_CONFIG, bytes) : 0;
    }
    if (bytes != 4) return 0; /* registers are accessed as words (virtio 1.2 4.2.2.2) */
    const struct virtqueue *q = selected(t);
    switch (offset) {
    case REG_MAGIC: return MAGIC;
    case REG_VERSION: return 2;
    case REG_DEVICE_ID: return t->device->id;
    case REG_VENDOR_ID: return VENDOR_ID;
    case REG_DEVICE_FEATURES:
        return t->device_features_select < 2 ? (uint32_t)(offered(t) >> 32 * t->device_features_select) : 0;
    case REG_QUEUE_SIZE_MAX: return q != NULL ? VIRTQUEUE_SIZE_MAX : 0;
    case REG_QUEUE_READY: return q != NULL && q->ready;
    case REG_INTERRUPT_STATUS: return t->interrupt;
    case REG_STATUS: return read_status(t);
    case REG_CONFIG_GENERATION: return t->config_generation;
    default:
        /* There is no shared memory: its length reads as -1. */
        return offset >= REG_SHM_LENGTH_LOW && offset <= REG_SHM_BASE_HIGH ? UINT32_MAX : 0;
    }
}

static void write_status(struct virtio_mmio *t, uint32_t value)
{
    if (value == 0) {
        virtio_mmio_reset(t);
        return;
    }
    /* A driver only ever adds bits; NEEDS_RESET is the device's. */
    uint32_t added = value & 0xFF & ~t->status & ~VIRTIO_STATUS_NEEDS_RESET;
    const bool features_good =
        (t->driver_features & ~offered(t)) == 0 && (t->driver_features & VIRTIO_F_VERSION_1) != 0;
    if ((added & VIRTIO_STATUS_FEATURES_OK) != 0 && !features_good) added &= ~VIRTIO_STATUS_FEATURES_OK;
    if (((t->status | added) & VIRTIO_STATUS_FEATURES_OK) == 0) added &= ~VIRTIO_STATUS_DRIVER_OK;
    t->status |= added;
    if ((added & VIRTIO_STATUS_DRIVER_OK) == 0) return;
    t->device->driver_ok(t);
    /* Linux's balloon driver fills and kicks its statistics queue before it sets DRIVER_OK, when a device must not
     * look yet (virtio 1.2 3.1.2). So look now. */
    for (uint32_t queue = 0; queue < t->device->queues; queue++) {
        if (t->queue[queue].ready) t->pending |= 1u << queue;
    }
}

static void set_low(gpa_t *address, uint32_t value)
{
    *address = (*address & 0xFFFFFFFF00000000) | value;
}
static void set_high(gpa_t *address, uint32_t value)
{
    *address = (uint32_t)*address | (uint64_t)value << 32;
}

static void write_queue(struct virtio_mmio *t, uint32_t offset, uint32_t value)
{
    struct virtqueue *q = selected(t);
    if (q == NULL) return;
    if (offset == REG_QUEUE_READY) {
        if ((value & 1) == 0) {
            virtqueue_reset(q);
        } else if (!q->ready) {
            q->ready = virtqueue_valid(q);
        }
        return;
    }
    if (q->ready) return; /* it was checked as it is */
    switch (offset) {
    case REG_QUEUE_SIZE: q->size = value; break;
    case REG_DESC_LOW: set_low(&q->desc, value); break;
    case REG_DESC_HIGH: set_high(&q->desc, value); break;
    case REG_AVAIL_LOW: set_low(&q->avail, value); break;
    case REG_AVAIL_HIGH: set_high(&q->avail, value); break;
    case REG_USED_LOW: set_low(&q->used, value); break;
    case REG_USED_HIGH: set_high(&q->used, value); break;
    default: break;
    }
}

void virtio_mmio_notify(struct virtio_mmio *t, uint32_t queue, uint64_t now_ns)
{
    if (queue >= t->device->queues || !virtio_mmio_running(t) || !t->queue[queue].ready) return;
    const bool more = t->device->notify(t, queue, now_ns);
    t->pending = more ? t->pending | 1u << queue : t->pending & ~(1u << queue);
}

void virtio_mmio_write(struct virtio_mmio *t, uint32_t offset, unsigned bytes, uint32_t value,
                       uint64_t now_ns)
{
    if (offset >= REG_CONFIG) {
        if (in_config(t, offset, bytes)) t->device->config_write(t, offset - REG_CONFIG, bytes, value);
        return;
    }
    if (bytes != 4) return;
    switch (offset) {
    case REG_DEVICE_FEATURES_SELECT: t->device_features_select = value; break;
    case REG_DRIVER_FEATURES_SELECT: t->driver_features_select = value; break;
    case REG_DRIVER_FEATURES:
        if ((t->status & VIRTIO_STATUS_FEATURES_OK) != 0) break;
        if (t->driver_features_select == 0) set_low(&t->driver_features, value);
        if (t->driver_features_select == 1) set_high(&t->driver_features, value);
        break;
    case REG_QUEUE_SELECT: t->queue_select = value; break;
    case REG_QUEUE_NOTIFY: virtio_mmio_notify(t, value, now_ns); break;
    case REG_INTERRUPT_ACK: set_interrupt(t, t->interrupt & ~value); break;
    case REG_STATUS: write_status(t, value); break;
    default: write_queue(t, offset, value); break;
    }
}

bool virtio_mmio_poll(struct virtio_mmio *t, uint64_t now_ns)
{
    uint32_t waiting = t->pending;
    while (waiting != 0) {
        const uint32_t queue = (uint32_t)__builtin_ctz(waiting);
        waiting &= waiting - 1;
        if (virtio_mmio_running(t) && t->queue[queue].ready) {
            virtio_mmio_notify(t, queue, now_ns);
        } else {
            t->pending &= ~(1u << queue);
        }
    }
    return t->pending != 0;
}
