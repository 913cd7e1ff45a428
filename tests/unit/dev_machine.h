/* SPDX-License-Identifier: MIT
 *
 * A guest's platform without a guest: memory is an array, vCPUs are LAPICs, and what devices ask of the
 * core is written down.
 */
#ifndef TITHE_TESTS_DEV_MACHINE_H
#define TITHE_TESTS_DEV_MACHINE_H

#include "dev/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* cmocka wants the headers above first. */
#include <cmocka.h>

#define RAM_BYTES (4 * MIB)
#define VCPUS     8u
#define GFNS_MAX  65536u

struct dev_machine {
    struct platform platform;
    struct lapic lapic[VCPUS];
    uint64_t now_ns, wall_ns;
    unsigned kicks[VCPUS], nmis[VCPUS], inits[VCPUS], sipis[VCPUS];
    uint8_t sipi_vector;
    unsigned stops, reboots;
    int stop_why;
    uint64_t stop_code;
    unsigned gives, takes, reports;                    /* calls */
    struct balloon_range reported[VIRTQUEUE_SIZE_MAX]; /* by the last of them */
    size_t given_count, taken_count;
    unsigned driver_ups, driver_downs;
    uint32_t given[GFNS_MAX], taken[GFNS_MAX];
    struct virtio_blk blk;
    enum blk_start disk_start;                          /* what to answer */
    unsigned disk_starts, disk_count;                   /* ever; under way */
    struct blk_request *disk_request[2 * BLK_REQUESTS]; /* these, in order */
    uint8_t ram[RAM_BYTES];
};

extern struct dev_machine dm;

/* A machine just switched on: LAPICs enabled as xAPIC, software-disabled. */
void dev_machine_reset(void);
int dev_machine_setup(void **state);

/* The machine has a disk of so many sectors. */
#define DISK_SECTORS 1000u
void dev_machine_add_disk(void);
/* Ends the request in this place. */
void dev_machine_disk_done(unsigned place, bool ok);

uint32_t in8(uint16_t port);
void out8(uint16_t port, uint8_t value);
uint32_t read32(gpa_t gpa);
void write32(gpa_t gpa, uint32_t value);
void put(gpa_t gpa, const void *bytes, size_t count);
void get(gpa_t gpa, void *bytes, size_t count);
/* xAPIC register of vCPU `index`. */
uint32_t apic_get(unsigned index, uint32_t offset);
void apic_set(unsigned index, uint32_t offset, uint32_t value);
/* Software-enables all LAPICs. */
void apics_on(void);
void ioapic_set(unsigned pin, uint64_t entry);
uint64_t ioapic_get(unsigned pin);

extern const struct CMUnitTest uart_tests[], apic_tests[], ipi_tests[], timer_tests[], legacy_tests[],
    ports_tests[], virtio_tests[], balloon_tests[], blk_tests[], acpi_tests[], cpuid_tests[], msr_tests[];
extern const size_t uart_test_count, apic_test_count, ipi_test_count, timer_test_count, legacy_test_count,
    ports_test_count, virtio_test_count, balloon_test_count, blk_test_count, acpi_test_count,
    cpuid_test_count, msr_test_count;

#define TEST(f) cmocka_unit_test_setup(f, dev_machine_setup)

#endif
