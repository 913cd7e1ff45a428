/* SPDX-License-Identifier: MIT
 *
 * The ACPI root pointer (ACPI 6.4, 5.2.5).
 */
#include "boot/boot_priv.h"
#include "lib/string.h"

struct rsdp {
    char signature[8];
    uint8_t checksum; /* first 20 bytes sum up to 0 */
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    /* From revision 2 on: */
    uint32_t bytes;
    uint64_t xsdt;
    uint8_t checksum_all;
    uint8_t reserved[3];
} __attribute__((packed));

#define RSDP_OLD_BYTES 20u

static bool sums_to_zero(const void *data, size_t bytes)
{
    const uint8_t *p = data;
    uint8_t sum = 0;

    for (size_t i = 0; i < bytes; i++) sum = (uint8_t)(sum + p[i]);
    return sum == 0;
}

bool boot_rsdp_take(const void *data, size_t bytes)
{
    struct rsdp r = {0};

    if (bytes < RSDP_OLD_BYTES) return false;
    memcpy(&r, data, bytes < sizeof r ? bytes : sizeof r);
    if (memcmp(r.signature, "RSD PTR ", 8) != 0 || !sums_to_zero(data, RSDP_OLD_BYTES)) return false;
    boot_info.rsdt = r.rsdt;
    if (r.revision >= 2 && bytes >= sizeof r && sums_to_zero(data, sizeof r)) boot_info.xsdt = r.xsdt;
    return true;
}

void boot_rsdp_scan(void)
{
    const char *bios = boot_data(0, 0x100000);
    uint32_t ebda = (uint32_t)(uint8_t)bios[0x40e] << 4 | (uint32_t)(uint8_t)bios[0x40f] << 12;

    if (ebda >= 0x80000 && ebda < 0xa0000 - 1024)
        for (uint32_t at = ebda; at < ebda + 1024; at += 16)
            if (boot_rsdp_take(bios + at, sizeof(struct rsdp))) return;
    for (uint32_t at = 0xe0000; at < 0x100000 - sizeof(struct rsdp); at += 16)
        if (boot_rsdp_take(bios + at, sizeof(struct rsdp))) return;
}
