/* SPDX-License-Identifier: MIT
 *
 * The machine a guest sees: all its devices, and the two doors to them, ports and MMIO. Nothing here is privileged:
 * it also compiles for the build host, where it is tested with a fake `platform_ops`.
 */
#ifndef TITHE_DEV_PLATFORM_H
#define TITHE_DEV_PLATFORM_H

#include "dev/acpi_pm.h"
#include "dev/cmos.h"
#include "dev/ioapic.h"
#include "dev/kbc.h"
#include "dev/lapic.h"
#include "dev/pic.h"
#include "dev/pit.h"
#include "dev/uart.h"
#include "dev/virtio_balloon.h"
#include "dev/virtio_blk.h"
#include "dev/virtio_mmio.h"
#include "lib/lock.h"
#include "tithe/types.h"

/* What devices need of the rest of the core; every call gets the `ctx` given at platform_init. */
struct platform_ops {
    bool (*mem_read)(void *ctx, gpa_t gpa, void *out, size_t bytes);
    bool (*mem_write)(void *ctx, gpa_t gpa, const void *in, size_t bytes);
    /* The LAPIC of vCPU `index`, NULL past the last. */
    struct lapic *(*lapic)(void *ctx, uint32_t index);
    /* Look at vCPU `index` again: something is pending for it. */
    void (*kick)(void *ctx, uint32_t index);
    void (*init_vcpu)(void *ctx, uint32_t index);                  /* INIT IPI */
    void (*start_vcpu)(void *ctx, uint32_t index, uint8_t vector); /* SIPI */
    void (*nmi)(void *ctx, uint32_t index);
    /* The guest asks for an end: enum tithe_stop; reboot is apart. Takes effect after the current exit. */
    void (*stop)(void *ctx, int why, uint64_t code);
    void (*reboot)(void *ctx);
    /* Balloon. Pages are 4 KiB gfns; `give` is called for a whole message, flushes once. Returns how many were taken. */
    size_t (*balloon_give)(void *ctx, const uint32_t *gfns, size_t count);
    size_t (*balloon_take)(void *ctx, const uint32_t *gfns, size_t count);
    /* Pages whose contents the guest can do without, flushed once. Returns how many had a frame. */
    uint64_t (*balloon_report)(void *ctx, const struct balloon_range *ranges, size_t count);
    void (*balloon_driver)(void *ctx, bool up); /* DRIVER_OK seen, or device reset */
    uint64_t (*wall_ns)(void *ctx);             /* since 1970 */
    /* Moves a request's data, or flushes the disk; virtio_blk_done follows when it was started, not before this returns. */
    enum blk_start (*disk_start)(void *ctx, struct blk_request *r);
};

struct platform {
    const struct platform_ops *ops;
    void *ctx;
    struct lock lock; /* LOCK_DEVICES: held by whoever calls in */
    bool mem_away;    /* set by mem_read and mem_write when they fail for want of what will be there later */
    struct ioapic ioapic;
    struct pic pic;
    struct pit pit;
    struct cmos cmos;
    struct kbc kbc;
    struct uart uart;
    struct acpi_pm acpi_pm;
    struct virtio_mmio balloon_transport;
    struct virtio_balloon balloon;
    struct virtio_mmio blk_transport;
    struct virtio_blk *blk; /* NULL: the guest has no disk */
};

/* GSIs of the guest platform (docs/architecture.md). */
#define GSI_TIMER         2u /* the 8254's channel 0; input 0 of the 8259 */
#define GSI_UART          4u
#define GSI_VIRTIO        16u
#define VIRTIO_MMIO_BASE  0xD0000000ull
#define VIRTIO_MMIO_BYTES 0x1000ull
#define IOAPIC_BASE       0xFEC00000ull

void platform_init(struct platform *p, const struct platform_ops *ops, void *ctx, uint64_t now_ns);
/* Right after platform_init: the guest has a disk. *blk lives as long as the platform. */
void platform_add_disk(struct platform *p, struct virtio_blk *blk);
/* All devices as after power-on; the console's ring is kept. */
void platform_reset(struct platform *p, uint64_t now_ns);

/* Port access of 1, 2 or 4 bytes. Ports nobody has read as all ones and ignore writes. */
uint32_t platform_in(struct platform *p, uint16_t port, unsigned bytes, uint64_t now_ns);
void platform_out(struct platform *p, uint16_t port, unsigned bytes, uint32_t value, uint64_t now_ns);
/* MMIO of 1, 2, 4 or 8 bytes, the LAPIC of `vcpu` included. Where nobody is: reads all ones, writes ignored, returns false. */
bool platform_mmio_read(struct platform *p, uint32_t vcpu, gpa_t gpa, unsigned bytes, uint64_t *value,
                        uint64_t now_ns);
bool platform_mmio_write(struct platform *p, uint32_t vcpu, gpa_t gpa, unsigned bytes, uint64_t value,
                         uint64_t now_ns);

/* Moves device time on: PIT and UART; returns when it wants to be called next, NO_DEADLINE if never. LAPIC timers are per vCPU. */
uint64_t platform_poll(struct platform *p, uint64_t now_ns);
/* A virtio device has work that platform_poll goes on with. */
bool platform_has_work(const struct platform *p);

/* Vector for vCPU 0 from the 8259 pair (through LINT0 as ExtINT), or -1; taking it acknowledges it. */
int platform_pic_pending(struct platform *p);
uint8_t platform_pic_take(struct platform *p);

/* Raises or lowers a GSI: IOAPIC pin and, below 16, the 8259 input (input 0 for GSI_TIMER). */
void platform_gsi(struct platform *p, uint32_t gsi, bool level);
/* Routes an interrupt message to LAPICs: destination (32 bits; LAPIC_BROADCAST for all), delivery mode, vector (SDM 3A 11.11). */
void platform_deliver(struct platform *p, uint32_t dest, bool logical, uint32_t mode, uint8_t vector,
                      bool level);

/* ---- the balloon, for vm/ ---- */
void platform_balloon_target(struct platform *p, uint64_t pages);
/* Whether what failed last was memory that is not to be had just now; forgets it. */
static inline bool platform_mem_away(struct platform *p)
{
    const bool away = p->mem_away;
    p->mem_away = false;
    return away;
}
/* Asks the guest for fresh statistics, if its driver gives any. */
void platform_balloon_poll_stats(struct platform *p);

/* ACPI tables, written into the guest's memory at 0xE0000; ask again after every reset. False: no memory. */
MUST_CHECK bool acpi_tables_write(struct platform *p, uint32_t vcpus);
/* Code at F000:FFF0 that resets the machine; likewise. */
MUST_CHECK bool reset_vector_write(struct platform *p);

#endif
