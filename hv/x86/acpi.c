/* SPDX-License-Identifier: MIT
 *
 * RSDT/XSDT, MADT and FADT (ACPI 6.4, 5.2). Every length in them is checked before it is believed.
 */
#include "lib/log.h"
#include "lib/string.h"
#include "x86/acpi.h"
#include "x86/cpu.h"
#include "x86/host_map.h"

#define TABLE_MAX_BYTES (16 * MIB)

struct acpi_info acpi_info;

struct header {
    char signature[4];
    uint32_t bytes;
    uint8_t revision;
    uint8_t checksum;
    char oem[6];
    char oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
};

struct fadt {
    struct header header;
    uint32_t facs;
    uint32_t dsdt;
    uint8_t reserved0;
    uint8_t profile;
    uint16_t sci;
    uint32_t smi_command;
    uint8_t acpi_enable;
    uint8_t acpi_disable;
    uint8_t s4bios;
    uint8_t pstate;
    uint32_t pm1a_event, pm1b_event;
    uint32_t pm1a_control, pm1b_control;
    uint32_t pm2_control;
    uint32_t pm_timer;
    uint32_t gpe0, gpe1;
    uint8_t pm1_event_bytes, pm1_control_bytes, pm2_control_bytes, pm_timer_bytes;
    uint8_t gpe0_bytes, gpe1_bytes, gpe1_base, cst;
    uint16_t c2_latency, c3_latency, flush_size, flush_stride;
    uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
    uint16_t boot_flags;
    uint8_t reserved1;
    uint32_t flags;
} __attribute__((packed));

#define FADT_TIMER_32   (1u << 8)
#define FADT_HW_REDUCED (1u << 20)

/* MADT entries (ACPI 5.2.12). */
enum madt_type { MADT_LAPIC = 0, MADT_IOAPIC = 1, MADT_OVERRIDE = 2, MADT_X2APIC = 9 };
struct madt_lapic {
    uint8_t type, bytes, processor, apic_id;
    uint32_t flags; /* bit 0: enabled */
} __attribute__((packed));
struct madt_ioapic {
    uint8_t type, bytes, id, reserved;
    uint32_t address, gsi_base;
} __attribute__((packed));
struct madt_override {
    uint8_t type, bytes, bus, source;
    uint32_t gsi;
    uint16_t flags; /* polarity: 3 is active low; trigger << 2: 3 is level */
} __attribute__((packed));
struct madt_x2apic {
    uint8_t type, bytes;
    uint16_t reserved;
    uint32_t apic_id, flags, processor;
} __attribute__((packed));

static struct {
    uint16_t pm1a, pm1b;
    uint8_t type_a, type_b;
    bool known;
    uint16_t smi_command;
    uint8_t enable;
} off;

/* The table at `hpa` if all of it can be read and it sums up to 0. */
static const struct header *table_at(hpa_t hpa)
{
    const struct header *h = host_map_firmware(hpa, sizeof *h);

    if (h == NULL || h->bytes < sizeof *h || h->bytes > TABLE_MAX_BYTES) return NULL;
    const uint8_t *p = host_map_firmware(hpa, h->bytes);
    if (p == NULL) return NULL;
    uint8_t sum = 0;
    for (uint32_t i = 0; i < h->bytes; i++) sum = (uint8_t)(sum + p[i]);
    return sum == 0 ? h : NULL;
}

static const struct header *find_table(const struct boot_info *boot, const char *signature)
{
    unsigned width = boot->xsdt != 0 ? 8 : 4;
    hpa_t root_at = boot->xsdt != 0 ? boot->xsdt : boot->rsdt;
    const struct header *root = root_at != 0 ? table_at(root_at) : NULL;

    if (root == NULL) return NULL;
    for (uint32_t at = sizeof *root; at + width <= root->bytes; at += width) {
        uint64_t entry = 0;
        memcpy(&entry, (const char *)root + at, width);
        const struct header *h = host_map_firmware(entry, sizeof *h);
        if (h != NULL && memcmp(h->signature, signature, 4) == 0) return table_at(entry);
    }
    return NULL;
}

/* Firmware may list a CPU in both formats (ACPI 5.2.12.12). `nobody`: the id that means all. */
static void add_cpu(uint32_t apic_id, uint32_t flags, uint32_t nobody)
{
    if (!(flags & 1) || apic_id == nobody) return;
    for (uint32_t i = 0; i < acpi_info.cpu_count; i++)
        if (acpi_info.cpu_apic_id[i] == apic_id) return;
    if (acpi_info.cpu_count < CPUS_MAX)
        acpi_info.cpu_apic_id[acpi_info.cpu_count++] = apic_id;
    else
        acpi_info.cpus_left_out = true;
}

static void read_madt_entry(const uint8_t *e, uint8_t bytes)
{
    const struct madt_lapic *lapic = (const void *)e;
    const struct madt_ioapic *ioapic = (const void *)e;
    const struct madt_override *override = (const void *)e;
    const struct madt_x2apic *x2apic = (const void *)e;

    if (e[0] == MADT_LAPIC && bytes >= sizeof *lapic) {
        add_cpu(lapic->apic_id, lapic->flags, UINT8_MAX);
    } else if (e[0] == MADT_X2APIC && bytes >= sizeof *x2apic) {
        add_cpu(x2apic->apic_id, x2apic->flags, UINT32_MAX);
    } else if (e[0] == MADT_IOAPIC && bytes >= sizeof *ioapic && acpi_info.ioapic_count < ACPI_IOAPICS_MAX) {
        acpi_info.ioapic[acpi_info.ioapic_count++] = (struct acpi_ioapic){ioapic->address, ioapic->gsi_base};
    } else if (e[0] == MADT_OVERRIDE && bytes >= sizeof *override && override->source < 16) {
        acpi_info.isa[override->source] = (struct acpi_isa_line){
            .gsi = override->gsi,
            .active_low = (override->flags & 3) == 3,
            .level = (override->flags >> 2 & 3) == 3,
        };
    }
}

static void read_madt(const struct header *madt)
{
    const uint8_t *p = (const uint8_t *)madt;

    for (uint32_t at = sizeof *madt + 8; at + 2 <= madt->bytes && p[at + 1] >= 2; at += p[at + 1]) {
        if (p[at + 1] > madt->bytes - at) break;
        read_madt_entry(p + at, p[at + 1]);
    }
}

/* A constant of a package: AML ZeroOp, OneOp or BytePrefix (ACPI 20.2.3). */
static const uint8_t *aml_byte(const uint8_t *p, const uint8_t *end, uint8_t *value)
{
    if (p < end && *p <= 1) {
        *value = *p;
        return p + 1;
    }
    if (end - p >= 2 && *p == 0x0a) {
        *value = p[1];
        return p + 2;
    }
    return NULL;
}

/* Finds `Name (_S5, Package { a, b, ... })` in the DSDT: sleep types of S5 for the two control registers.
 * There is no interpreter here; every firmware seen writes it as constants. */
static bool find_s5(const struct header *dsdt)
{
    const uint8_t *start = (const uint8_t *)(dsdt + 1), *end = (const uint8_t *)dsdt + dsdt->bytes;

    for (const uint8_t *p = start; end - p > 8; p++) {
        if (memcmp(p, "_S5_", 4) != 0 || p[4] != 0x12 /* PackageOp */) continue;
        const uint8_t *q = p + 5;
        q += 1 + (*q >> 6); /* PkgLength */
        q++;                /* NumElements */
        if (q < end && (q = aml_byte(q, end, &off.type_a)) != NULL && aml_byte(q, end, &off.type_b) != NULL)
            return true;
    }
    return false;
}

static void read_fadt(const struct fadt *fadt)
{
    uint64_t x_dsdt = 0;

    if (fadt->flags & FADT_HW_REDUCED) return;
    acpi_info.pm_timer_port = fadt->pm_timer_bytes == 4 ? (uint16_t)fadt->pm_timer : 0;
    acpi_info.pm_timer_32 = fadt->flags & FADT_TIMER_32;
    if (fadt->header.bytes >= 148) memcpy(&x_dsdt, (const char *)fadt + 140, 8);
    const struct header *dsdt = table_at(x_dsdt != 0 ? x_dsdt : fadt->dsdt);
    off.pm1a = (uint16_t)fadt->pm1a_control;
    off.pm1b = (uint16_t)fadt->pm1b_control;
    off.smi_command = (uint16_t)fadt->smi_command;
    off.enable = fadt->acpi_enable;
    off.known = dsdt != NULL && off.pm1a != 0 && find_s5(dsdt);
}

void acpi_init(const struct boot_info *boot)
{
    for (uint32_t i = 0; i < 16; i++) acpi_info.isa[i].gsi = i;
    const struct header *madt = find_table(boot, "APIC"), *fadt = find_table(boot, "FACP");
    if (madt != NULL) read_madt(madt);
    if (fadt != NULL && fadt->bytes >= sizeof(struct fadt))
        read_fadt((const struct fadt *)(const void *)fadt);
    if (acpi_info.ioapic_count == 0) {
        /* OVMF on Bochs gives no tables at all. Every PC has its first I/O APIC here; irq_init looks whether
         * it answers. */
        log_line("tithe: ACPI names no I/O APIC: trying the usual place");
        acpi_info.ioapic[acpi_info.ioapic_count++] = (struct acpi_ioapic){0xfec00000, 0};
    }
}

void acpi_power_off(void)
{
    if (!off.known) return;
    /* ACPI mode first (ACPI 4.8.2.5); emulators and most machines are in it already. */
    if (!(inw(off.pm1a) & 1) && off.smi_command != 0 && off.enable != 0) outb(off.smi_command, off.enable);
    outw(off.pm1a, (uint16_t)(1u << 13 | (unsigned)(off.type_a & 7) << 10));
    if (off.pm1b != 0) outw(off.pm1b, (uint16_t)(1u << 13 | (unsigned)(off.type_b & 7) << 10));
    for (unsigned i = 0; i < 1000000; i++) /* about a second */
        (void)inb(0x80);
}
