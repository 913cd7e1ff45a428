/* SPDX-License-Identifier: MIT
 *
 * The guest's ACPI tables (ACPI 6.5 5.2). Hardware-reduced, so that Linux looks for no PIC, PIT, or fixed
 * power-management hardware; what it needs of a machine is said in the MADT and in a small DSDT.
 */
#include "dev/aml.h"
#include "dev/platform.h"
#include "lib/string.h"

#define TABLES_GPA   0xE0000u
#define TABLES_BYTES 2048u

struct __attribute__((packed)) rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t bytes;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
};

struct __attribute__((packed)) header {
    char signature[4];
    uint32_t bytes;
    uint8_t revision, checksum;
    char oem[6], oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
};

/* Generic address structure, 5.2.3.2: system I/O, one byte. */
struct __attribute__((packed)) address {
    uint8_t space, bits, offset, access;
    uint64_t at;
};
#define IO_BYTE(port)                                                                                        \
    {                                                                                                        \
        .space = 1, .bits = 8, .offset = 0, .access = 1, .at = (port)                                        \
    }

/* 5.2.9, revision 6. What is absent on hardware-reduced machines stays zero. */
struct __attribute__((packed)) fadt {
    struct header header;
    uint32_t facs, dsdt;
    uint8_t reserved0, profile;
    uint8_t fixed_hardware[63]; /* SCI_INT to CENTURY, offsets 46 to 108 */
    uint16_t boot_arch;
    uint8_t reserved1;
    uint32_t flags;
    struct address reset_register;
    uint8_t reset_value;
    uint16_t arm_boot_arch;
    uint8_t minor_revision;
    uint64_t x_facs, x_dsdt;
    struct address fixed_blocks[8]; /* X_PM1a_EVT_BLK to X_GPE1_BLK */
    struct address sleep_control, sleep_status;
    char hypervisor[8];
};
_Static_assert(sizeof(struct fadt) == 276, "FADT of revision 6");

#define BOOT_NO_VGA  (1u << 2)
#define BOOT_NO_MSI  (1u << 3)
#define BOOT_NO_ASPM (1u << 4)
#define BOOT_NO_RTC  (1u << 5)

#define FADT_WBINVD          (1u << 0)
#define FADT_NO_POWER_BUTTON (1u << 4) /* none with fixed hardware */
#define FADT_NO_SLEEP_BUTTON (1u << 5)
#define FADT_RESET           (1u << 10)
#define FADT_HW_REDUCED      (1u << 20)

/* 5.2.12 */
struct __attribute__((packed)) madt {
    struct header header;
    uint32_t lapic, flags;
};
struct __attribute__((packed)) madt_lapic {
    uint8_t type, bytes, processor, id;
    uint32_t flags;
};
struct __attribute__((packed)) madt_ioapic {
    uint8_t type, bytes, id, reserved;
    uint32_t at, first_gsi;
};
struct __attribute__((packed)) madt_override {
    uint8_t type, bytes, bus, irq;
    uint32_t gsi;
    uint16_t flags;
};
struct __attribute__((packed)) madt_nmi {
    uint8_t type, bytes, processor;
    uint16_t flags;
    uint8_t lint;
};
enum { MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_NMI = 4 };
#define MADT_PCAT_COMPAT 1u /* there is an 8259 pair */
#define LAPIC_USABLE     1u

/* The tables as they grow, one after the other, 16-aligned. */
struct tables {
    uint8_t bytes[TABLES_BYTES];
    struct aml out;
};

static uint32_t gpa_of(const struct tables *t, const void *at)
{
    return TABLES_GPA + (uint32_t)((const uint8_t *)at - t->bytes);
}

static uint8_t checksum(const void *bytes, size_t count)
{
    const uint8_t *from = bytes;
    uint8_t sum = 0;
    for (size_t i = 0; i < count; i++) sum = (uint8_t)(sum + from[i]);
    return (uint8_t)-sum;
}

static void align(struct tables *t)
{
    while ((t->out.at - t->bytes) % 16 != 0 && !t->out.full) aml_byte(&t->out, 0);
}

static struct header header(const char *signature, uint8_t revision)
{
    struct header h = {.revision = revision, .oem_revision = 1, .creator_revision = 1};
    memcpy(h.signature, signature, sizeof h.signature);
    memcpy(h.oem, "TITHE ", sizeof h.oem);
    memcpy(h.oem_table, "TITHEVM ", sizeof h.oem_table);
    memcpy(h.creator, "TTHE", sizeof h.creator);
    return h;
}

/* The table from `start` to here is complete: its length and checksum. Returns its address. */
static uint32_t finish(struct tables *t, uint8_t *start)
{
    if (t->out.full) return 0;
    struct header h;
    const size_t bytes = (size_t)(t->out.at - start);
    memcpy(&h, start, sizeof h);
    h.bytes = (uint32_t)bytes;
    memcpy(start, &h, sizeof h);
    h.checksum = checksum(start, bytes);
    memcpy(start, &h, sizeof h);
    align(t);
    return gpa_of(t, start);
}

static void virtio_device(struct aml *a, const char *name, uint32_t index)
{
    uint8_t *device = aml_device(a, name);
    aml_name(a, "_HID");
    aml_string(a, "LNRO0005");
    aml_name(a, "_UID");
    aml_integer(a, index);
    aml_name(a, "_CRS");
    uint8_t *resources = aml_resources(a);
    aml_memory32(a, (uint32_t)(VIRTIO_MMIO_BASE + index * VIRTIO_MMIO_BYTES), VIRTIO_MMIO_BYTES);
    aml_interrupt(a, GSI_VIRTIO + index, false);
    aml_resources_close(a, resources);
    aml_close(a, device);
}

static void serial_port(struct aml *a)
{
    uint8_t *device = aml_device(a, "COM1");
    aml_name(a, "_HID");
    aml_eisa_id(a, "PNP0501");
    aml_name(a, "_UID");
    aml_integer(a, 1);
    aml_name(a, "_CRS");
    uint8_t *resources = aml_resources(a);
    aml_io(a, UART_PORT, 8);
    aml_interrupt(a, GSI_UART, true);
    aml_resources_close(a, resources);
    aml_close(a, device);
}

static uint32_t write_dsdt(struct tables *t, bool disk)
{
    struct aml *a = &t->out;
    uint8_t *start = a->at;
    const struct header h = header("DSDT", 2);
    aml_bytes(a, &h, sizeof h);

    aml_name(a, "\\_S5_");
    uint8_t *package = aml_package(a, 4);
    aml_integer(a, ACPI_SLEEP_TYPE_S5);
    for (unsigned i = 0; i < 3; i++) aml_integer(a, 0);
    aml_close(a, package);

    uint8_t *scope = aml_scope(a, "\\_SB_");
    virtio_device(a, "VIO0", 0);
    if (disk) virtio_device(a, "VIO1", 1);
    serial_port(a);
    aml_close(a, scope);
    return finish(t, start);
}

static uint32_t write_fadt(struct tables *t, uint32_t dsdt)
{
    uint8_t *start = t->out.at;
    struct fadt f = {
        .header = header("FACP", 6),
        .dsdt = dsdt,
        .boot_arch = BOOT_NO_VGA | BOOT_NO_MSI | BOOT_NO_ASPM | BOOT_NO_RTC,
        .flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON | FADT_RESET | FADT_HW_REDUCED,
        .reset_register = IO_BYTE(ACPI_RESET_PORT),
        .reset_value = ACPI_RESET_VALUE,
        .x_dsdt = dsdt,
        .sleep_control = IO_BYTE(ACPI_SLEEP_CONTROL_PORT),
        .sleep_status = IO_BYTE(ACPI_SLEEP_STATUS_PORT),
    };
    memcpy(f.hypervisor, "TITHE", 5);
    aml_bytes(&t->out, &f, sizeof f);
    return finish(t, start);
}

static uint32_t write_madt(struct tables *t, uint32_t vcpus)
{
    struct aml *a = &t->out;
    uint8_t *start = a->at;
    const struct madt m = {
        .header = header("APIC", 5), .lapic = (uint32_t)LAPIC_BASE, .flags = MADT_PCAT_COMPAT};
    aml_bytes(a, &m, sizeof m);
    for (uint32_t i = 0; i < vcpus; i++) {
        const struct madt_lapic l = {MADT_LAPIC, sizeof l, (uint8_t)i, (uint8_t)i, LAPIC_USABLE};
        aml_bytes(a, &l, sizeof l);
    }
    const struct madt_ioapic io = {MADT_IOAPIC, sizeof io, 0, 0, (uint32_t)IOAPIC_BASE, 0};
    aml_bytes(a, &io, sizeof io);
    const struct madt_override timer = {MADT_OVERRIDE, sizeof timer, 0, 0, GSI_TIMER, 0};
    aml_bytes(a, &timer, sizeof timer);
    const struct madt_nmi nmi = {MADT_NMI, sizeof nmi, 0xFF, 0, 1};
    aml_bytes(a, &nmi, sizeof nmi);
    return finish(t, start);
}

static uint32_t write_root(struct tables *t, const char *signature, const uint32_t *tables, size_t count,
                           bool wide)
{
    uint8_t *start = t->out.at;
    const struct header h = header(signature, 1);
    aml_bytes(&t->out, &h, sizeof h);
    for (size_t i = 0; i < count; i++) {
        const uint64_t address = tables[i];
        aml_bytes(&t->out, &address, wide ? 8 : 4);
    }
    return finish(t, start);
}

bool acpi_tables_write(struct platform *p, uint32_t vcpus)
{
    struct tables t;
    memset(&t, 0, sizeof t);
    t.out = (struct aml){.at = t.bytes, .end = t.bytes + sizeof t.bytes, .full = false};

    struct rsdp r = {.revision = 2, .bytes = sizeof r};
    memcpy(r.signature, "RSD PTR ", sizeof r.signature);
    memcpy(r.oem, "TITHE ", sizeof r.oem);
    aml_bytes(&t.out, &r,
              sizeof r); /* its place: systems look for it on 16-byte boundaries from 0xE0000 on */
    align(&t);

    const uint32_t dsdt = write_dsdt(&t, p->blk != NULL);
    const uint32_t tables[] = {write_fadt(&t, dsdt), write_madt(&t, vcpus)};
    r.rsdt = write_root(&t, "RSDT", tables, ARRAY_LEN(tables), false);
    r.xsdt = write_root(&t, "XSDT", tables, ARRAY_LEN(tables), true);
    if (t.out.full) return false;
    r.checksum = checksum(&r, 20); /* the part that ACPI 1.0 knew */
    r.extended_checksum = checksum(&r, sizeof r);
    memcpy(t.bytes, &r, sizeof r);
    return p->ops->mem_write(p->ctx, TABLES_GPA, t.bytes, (size_t)(t.out.at - t.bytes));
}
