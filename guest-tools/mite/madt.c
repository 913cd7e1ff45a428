// SPDX-License-Identifier: MIT
#include "madt.h"

#include <stddef.h>

#include "memory.h"

#define RSDP_FIRST 0xE0000U
#define RSDP_LAST  0xFFFE0U

struct __attribute__((packed)) rsdp {
    char signature[8];
    uint8_t checksum;
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
};

struct __attribute__((packed)) table {
    char signature[4];
    uint32_t bytes;
    uint8_t rest[28];
    uint32_t entries[];
};

// The APIC's address and flags come before its entries.
#define MADT_HEADER_BYTES 44

struct __attribute__((packed)) madt_apic {
    uint8_t type, bytes, processor, id;
    uint32_t flags;
};

static uint8_t sum(const void *bytes, uint32_t count)
{
    const uint8_t *at = bytes;
    uint8_t total = 0;
    while (count-- > 0) total = (uint8_t)(total + *at++);
    return total;
}

static const struct rsdp *find_rsdp(void)
{
    for (uint32_t at = RSDP_FIRST; at <= RSDP_LAST; at += 16) {
        const struct rsdp *rsdp = (const void *)at;
        if (memcmp(rsdp->signature, "RSD PTR ", 8) == 0 && sum(rsdp, sizeof *rsdp) == 0) return rsdp;
    }
    return NULL;
}

static const struct table *find_madt(void)
{
    const struct rsdp *rsdp = find_rsdp();
    if (!rsdp) return NULL;
    const struct table *rsdt = (const void *)rsdp->rsdt;
    if (memcmp(rsdt->signature, "RSDT", 4) != 0 || sum(rsdt, rsdt->bytes) != 0) return NULL;
    for (uint32_t i = 0; i < (rsdt->bytes - sizeof *rsdt) / 4; i++) {
        const struct table *table = (const void *)rsdt->entries[i];
        if (memcmp(table->signature, "APIC", 4) == 0 && sum(table, table->bytes) == 0) return table;
    }
    return NULL;
}

uint32_t madt_apic_ids(uint8_t *ids, uint32_t limit, uint8_t own)
{
    uint32_t count = 1;
    ids[0] = own;
    const struct table *madt = find_madt();
    if (!madt) return count;
    uint32_t end = (uint32_t)madt + madt->bytes;
    for (uint32_t at = (uint32_t)madt + MADT_HEADER_BYTES; at < end;) {
        const struct madt_apic *apic = (const void *)at;
        if (apic->bytes < 2) break;
        if (apic->type == 0 && (apic->flags & 1) && apic->id != own && count < limit) ids[count++] = apic->id;
        at += apic->bytes;
    }
    return count;
}
