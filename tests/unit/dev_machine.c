/* SPDX-License-Identifier: MIT */
#include "dev_machine.h"

struct dev_machine dm;

static bool mem_read(void *ctx, gpa_t gpa, void *out, size_t bytes)
{
    (void)ctx;
    if (gpa > RAM_BYTES || bytes > RAM_BYTES - gpa) return false;
    memcpy(out, dm.ram + gpa, bytes);
    return true;
}

static bool mem_write(void *ctx, gpa_t gpa, const void *in, size_t bytes)
{
    (void)ctx;
    if (gpa > RAM_BYTES || bytes > RAM_BYTES - gpa) return false;
    memcpy(dm.ram + gpa, in, bytes);
    return true;
}

static struct lapic *lapic(void *ctx, uint32_t index)
{
    (void)ctx;
    return index < VCPUS ? &dm.lapic[index] : NULL;
}

static void kick(void *ctx, uint32_t index)
{
    (void)ctx;
    dm.kicks[index]++;
}

static void init_vcpu(void *ctx, uint32_t index)
{
    (void)ctx;
    dm.inits[index]++;
}

static void start_vcpu(void *ctx, uint32_t index, uint8_t vector)
{
    (void)ctx;
    dm.sipis[index]++;
    dm.sipi_vector = vector;
}

static void nmi(void *ctx, uint32_t index)
{
    (void)ctx;
    dm.nmis[index]++;
}

static void stop(void *ctx, int why, uint64_t code)
{
    (void)ctx;
    dm.stops++;
    dm.stop_why = why;
    dm.stop_code = code;
}

static void reboot(void *ctx)
{
    (void)ctx;
    dm.reboots++;
}

static size_t balloon_give(void *ctx, const uint32_t *gfns, size_t count)
{
    (void)ctx;
    dm.gives++;
    for (size_t i = 0; i < count; i++) dm.given[dm.given_count++ % GFNS_MAX] = gfns[i];
    return count;
}

static size_t balloon_take(void *ctx, const uint32_t *gfns, size_t count)
{
    (void)ctx;
    dm.takes++;
    for (size_t i = 0; i < count; i++) dm.taken[dm.taken_count++ % GFNS_MAX] = gfns[i];
    return count;
}

static uint64_t balloon_report(void *ctx, const struct balloon_range *ranges, size_t count)
{
    uint64_t pages = 0;
    (void)ctx;
    dm.reports++;
    assert_true(count <= VIRTQUEUE_SIZE_MAX);
    for (size_t i = 0; i < count; i++) {
        dm.reported[i] = ranges[i];
        pages += ranges[i].count;
    }
    assert_true(pages <= BALLOON_REPORT_PAGES);
    return pages;
}

static void balloon_driver(void *ctx, bool up)
{
    (void)ctx;
    if (up) {
        dm.driver_ups++;
    } else {
        dm.driver_downs++;
    }
}

static uint64_t wall_ns(void *ctx)
{
    (void)ctx;
    return dm.wall_ns;
}

static enum blk_start disk_start(void *ctx, struct blk_request *r)
{
    uint64_t bytes = 0;
    (void)ctx;
    /* What the core may rely on. */
    assert_true(r->op == BLK_READ || r->op == BLK_WRITE || r->op == BLK_FLUSH);
    assert_true(r->count <= BLK_PIECES_MAX && (r->op == BLK_FLUSH) == (r->count == 0));
    for (unsigned i = 0; i < r->count; i++) {
        const struct blk_piece *p = &r->piece[i];
        assert_true(p->bytes != 0 && ((p->gpa | p->bytes) & 1) == 0);
        assert_true((p->gpa & (PAGE_BYTES - 1)) + p->bytes <= PAGE_BYTES);
        bytes += p->bytes;
    }
    assert_true(bytes % BLK_SECTOR_BYTES == 0 && bytes <= BLK_SECTORS_MAX * BLK_SECTOR_BYTES);
    assert_true(r->op == BLK_FLUSH ||
                (r->sector < DISK_SECTORS && bytes / BLK_SECTOR_BYTES <= DISK_SECTORS - r->sector));
    if (dm.disk_start != BLK_STARTED) return dm.disk_start;
    assert_true(dm.disk_count < BLK_REQUESTS);
    dm.disk_request[dm.disk_count++] = r;
    dm.disk_starts++;
    return BLK_STARTED;
}

void dev_machine_disk_done(unsigned place, bool ok)
{
    struct blk_request *r = dm.disk_request[place];
    assert_true(place < dm.disk_count);
    dm.disk_count--;
    for (unsigned i = place; i < dm.disk_count; i++) dm.disk_request[i] = dm.disk_request[i + 1];
    virtio_blk_done(&dm.platform.blk_transport, r, ok, dm.now_ns);
}

void dev_machine_add_disk(void)
{
    virtio_blk_init(&dm.blk, DISK_SECTORS);
    platform_add_disk(&dm.platform, &dm.blk);
}

static const struct platform_ops ops = {
    .mem_read = mem_read,
    .mem_write = mem_write,
    .lapic = lapic,
    .kick = kick,
    .init_vcpu = init_vcpu,
    .start_vcpu = start_vcpu,
    .nmi = nmi,
    .stop = stop,
    .reboot = reboot,
    .balloon_give = balloon_give,
    .balloon_take = balloon_take,
    .balloon_report = balloon_report,
    .balloon_driver = balloon_driver,
    .wall_ns = wall_ns,
    .disk_start = disk_start,
};

void dev_machine_reset(void)
{
    memset(&dm, 0, sizeof dm);
    dm.now_ns = 1000;
    for (unsigned i = 0; i < VCPUS; i++) lapic_init(&dm.lapic[i], &dm.platform, i, i == 0);
    platform_init(&dm.platform, &ops, NULL, dm.now_ns);
}

int dev_machine_setup(void **state)
{
    (void)state;
    dev_machine_reset();
    return 0;
}

uint32_t in8(uint16_t port)
{
    return platform_in(&dm.platform, port, 1, dm.now_ns);
}

void out8(uint16_t port, uint8_t value)
{
    platform_out(&dm.platform, port, 1, value, dm.now_ns);
}

uint32_t read32(gpa_t gpa)
{
    uint64_t value = 0;
    (void)platform_mmio_read(&dm.platform, 0, gpa, 4, &value, dm.now_ns);
    return (uint32_t)value;
}

void write32(gpa_t gpa, uint32_t value)
{
    (void)platform_mmio_write(&dm.platform, 0, gpa, 4, value, dm.now_ns);
}

void put(gpa_t gpa, const void *bytes, size_t count)
{
    assert_true(mem_write(NULL, gpa, bytes, count));
}

void get(gpa_t gpa, void *bytes, size_t count)
{
    assert_true(mem_read(NULL, gpa, bytes, count));
}

uint32_t apic_get(unsigned index, uint32_t offset)
{
    uint64_t value;
    assert_true(platform_mmio_read(&dm.platform, index, LAPIC_BASE + offset, 4, &value, dm.now_ns));
    return (uint32_t)value;
}

void apic_set(unsigned index, uint32_t offset, uint32_t value)
{
    assert_true(platform_mmio_write(&dm.platform, index, LAPIC_BASE + offset, 4, value, dm.now_ns));
}

void apics_on(void)
{
    for (unsigned i = 0; i < VCPUS; i++) apic_set(i, 0xF0, 0x1FF);
}

void ioapic_set(unsigned pin, uint64_t entry)
{
    write32(IOAPIC_BASE, 0x11 + 2 * pin);
    write32(IOAPIC_BASE + 0x10, (uint32_t)(entry >> 32));
    write32(IOAPIC_BASE, 0x10 + 2 * pin);
    write32(IOAPIC_BASE + 0x10, (uint32_t)entry);
}

uint64_t ioapic_get(unsigned pin)
{
    write32(IOAPIC_BASE, 0x11 + 2 * pin);
    const uint64_t high = read32(IOAPIC_BASE + 0x10);
    write32(IOAPIC_BASE, 0x10 + 2 * pin);
    return high << 32 | read32(IOAPIC_BASE + 0x10);
}
