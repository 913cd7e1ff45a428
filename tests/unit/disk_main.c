/* SPDX-License-Identifier: MIT
 *
 * hv/drv: disks on a simulated controller that fails in every way it knows. The driver's state is made once per boot, so
 * each test is a process of its own. TAP.
 */
#include "disk_machine.h"

#include "drv/disk.h"
#include "drv/gpt.h"
#include "host_env.h"
#include "lib/crc32.h"
#include "lib/log.h"
#include "mem/direct.h"
#include "x86/time.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND 1000000000ull

static uint64_t random_state = 1;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

void disk_test(void) {} /* of drv/disk_test.c: for real machines */
void disk_test(void);

static struct tithe_disk about(uint32_t index)
{
    struct tithe_disk d = {.index = index};
    CHECK(disk_describe(&d));
    return d;
}

static uint32_t disks(void)
{
    struct tithe_disk d = {.index = 0};
    while (disk_describe(&d)) d.index++;
    return d.index;
}

/* One read or write of up to 16 whole frames from mfn on. */
static enum disk_status move(uint32_t disk, enum disk_op op, uint64_t sector, uint32_t sectors, mfn_t mfn)
{
    struct disk_segment segments[DISK_SEGMENTS_MAX];
    struct disk_request r = {.disk = disk, .op = op, .sector = sector, .segments = segments};
    for (uint32_t bytes = sectors * 512, part; bytes > 0; bytes -= part) {
        part = bytes < PAGE_BYTES ? bytes : PAGE_BYTES;
        segments[r.segment_count++] = (struct disk_segment){mfn++, 0, part};
    }
    return disk_wait(&r);
}

static void fill(mfn_t mfn, uint32_t frames, uint8_t with)
{
    for (uint32_t i = 0; i < frames * PAGE_BYTES; i++)
        ((uint8_t *)mfn_to_virt(mfn))[i] = (uint8_t)(with + i * 7 + i / 512);
}

/* ---- who is there ---- */

static void nobody_there(void)
{
    sim.no_pci = true;
    disk_init();
    CHECK(disks() == 0);
}

static void no_controller(void)
{
    sim_add(0, 0, 1000, 1000, false);
    sim.class = 0x010601;
    disk_init();
    CHECK(disks() == 0);
}

static void controllers_we_do_not_drive(void)
{
    static const struct {
        uint32_t class, bar;
    } all[] = {
        {0x010100, 0xc001}, {0x010185, 0xc001}, {0x010181, 0xc001}, {0x010180, 0x1}, {0x010180, 0xc000}};
    sim_add(0, 0, 1000, 1000, false);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        sim.class = all[i].class;
        sim.bar = all[i].bar;
        disk_init();
        CHECK(disks() == 0);
        CHECK(strstr(host_env_log(), "do not drive") != NULL);
    }
}

static void four_drives(void)
{
    sim_add(0, 0, 1000, 1000, false);
    sim_add(0, 1, 1ull << 33, 1000, true);
    sim_add(1, 0, 1000, 10, false)->atapi = true;
    sim_add(1, 1, 4096, 4096, true);
    disk_init();
    CHECK(disks() == 3);
    struct tithe_disk d = about(1);
    CHECK(strcmp(d.name, "ata0-slave") == 0 && strcmp(d.model, "SIMULATED DISK") == 0 &&
          d.sectors == 1ull << 33);
    CHECK(strcmp(about(2).name, "ata1-slave") == 0 && strcmp(d.table, "no GPT") == 0);
    CHECK(d.dma_limit_pages == 1 << 20 && d.partition_count == 0 && d.errors == 0);
    CHECK(move(1, DISK_WRITE, (1ull << 33) - 256, 256, 100) == DISK_OK);
    CHECK(sim.drive[0][1].last_command == 0x35);
    CHECK(move(0, DISK_READ, 0, 8, 100) == DISK_OK && sim.drive[0][0].last_command == 0xc8);
}

static void slave_without_master(void)
{
    sim_add(0, 1, 1000, 1000, false);
    sim.floating[1] = true;
    disk_init();
    CHECK(disks() == 1 && strcmp(about(0).name, "ata0-slave") == 0);
    sim.drive[0][1].fault = FAULT_HANG;
    sim.drive[0][1].fault_count = 1;
    CHECK(move(0, DISK_READ, 0, 8, 100) == DISK_OK && about(0).retries == 1);
}

static void line_out_of_reach(void)
{
    sim_add(0, 0, 1000, 1000, false);
    sim.no_irq_line = true;
    disk_init();
    CHECK(disks() == 1 && strstr(about(0).table, "unknown") != NULL);
    CHECK(move(0, DISK_READ, 0, 8, 100) == DISK_NO_DISK);
}

static void drives_that_lie(void)
{
    struct sim_drive *d[4];
    for (unsigned i = 0; i < 4; i++) d[i] = sim_add(i / 2, i % 2, 1000, 1000, true);
    d[0]->identity[106] = 0x5000;
    d[1]->identity[49] = 0x200;
    for (unsigned i = 100; i < 104; i++) d[2]->identity[i] = 0;
    for (unsigned i = 0; i < 256; i++) d[3]->identity[i] = 0xffff; /* bits 15 and 14 of word 83: no LBA48 */
    disk_init();
    CHECK(disks() == 0);
    d[3]->lba48 = false;
    d[3]->identity[61] = 0x0fff;
    disk_init();
    CHECK(disks() == 1);
    struct tithe_disk disk = about(0);
    CHECK(strcmp(disk.model, "????????????????????????????????????????") == 0 && disk.sectors == 0x0fffffff);
}

/* ---- requests ---- */

static void refused(void)
{
    static const struct {
        struct disk_segment s;
        uint64_t sector;
        enum disk_op op;
        uint32_t disk;
        enum disk_status want;
    } all[] = {
        {{100, 0, 512}, 0, DISK_READ, 1, DISK_NO_DISK},
        {{100, 0, 512}, 1000, DISK_READ, 0, DISK_BEYOND_END},
        {{100, 0, 1024}, 999, DISK_WRITE, 0, DISK_BEYOND_END},
        {{100, 0, 512}, UINT64_MAX, DISK_READ, 0, DISK_BEYOND_END},
        {{100, 1, 512}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, 0, 511}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, 0, 100}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, 0, 0}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, 3586, 512}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, UINT32_MAX - 1, 512}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, 0, 8192}, 0, DISK_READ, 0, DISK_BAD_REQUEST},
        {{100, 0, 512}, 0, DISK_FLUSH, 0, DISK_BAD_REQUEST},
        {{1 << 20, 0, 512}, 0, DISK_READ, 0, DISK_OUT_OF_REACH},
        {{UINT64_MAX, 0, 512}, 0, DISK_WRITE, 0, DISK_OUT_OF_REACH},
        {{100, 0, 512}, 999, DISK_READ, 0, DISK_OK},
    };
    struct disk_segment many[DISK_SEGMENTS_MAX + 1];
    sim_add(0, 0, 1000, 1000, false);
    disk_init();
    const uint32_t before = sim.drive[0][0].commands;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct disk_request r = {.disk = all[i].disk,
                                 .op = all[i].op,
                                 .sector = all[i].sector,
                                 .segments = &all[i].s,
                                 .segment_count = 1};
        CHECK(disk_wait(&r) == all[i].want);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(many); i++) many[i] = (struct disk_segment){100, 0, 512};
    struct disk_request r = {.op = DISK_READ, .segments = many, .segment_count = ARRAY_LEN(many)};
    CHECK(disk_wait(&r) == DISK_BAD_REQUEST);
    for (uint32_t i = 0; i < 33; i++) many[i].bytes = PAGE_BYTES;
    r.segment_count = 33; /* more than 256 sectors */
    CHECK(disk_wait(&r) == DISK_BAD_REQUEST);
    r.segment_count = 0;
    CHECK(disk_wait(&r) == DISK_BAD_REQUEST);
    CHECK(sim.drive[0][0].commands == before + 1);
}

static void lower_limit(void)
{
    sim_add(0, 0, 1000, 1000, false);
    sim.dma_limit_mib = "1";
    disk_init();
    CHECK(disk_dma_limit() == 256 && about(0).dma_limit_pages == 256);
    CHECK(strstr(about(0).table, "cannot address") != NULL); /* the scan's own buffer is higher */
    CHECK(move(0, DISK_READ, 0, 16, 254) == DISK_OK);
    CHECK(move(0, DISK_READ, 0, 16, 255) == DISK_OUT_OF_REACH);
    CHECK(about(0).reads == 1);
}

static void biggest(void)
{
    for (unsigned i = 0; i < 2; i++) {
        sim_add(0, i, 1u << 27, 600, i == 1);
    }
    disk_init();
    for (uint32_t disk = 0; disk < 2; disk++) {
        const uint64_t at = (1u << 27) - 256;
        fill(100, 32, (uint8_t)(disk + 1));
        fill(200, 32, 77);
        CHECK(move(disk, DISK_WRITE, at, 256, 100) == DISK_OK);
        CHECK(move(disk, DISK_READ, at, 256, 200) == DISK_OK);
        CHECK(memcmp(mfn_to_virt(100), mfn_to_virt(200), 32 * PAGE_BYTES) == 0);
        for (uint64_t s = at; s < at + 256; s++)
            CHECK(memcmp(sim.drive[0][disk].data + s % 600 * 512,
                         (uint8_t *)mfn_to_virt(100) + (s - at) * 512, 512) == 0);
        CHECK(about(disk).written_sectors == 256 && about(disk).read_sectors == 257); /* one by the scan */
    }
}

static void flushes(void)
{
    struct disk_request r = {.op = DISK_FLUSH};
    sim_add(0, 0, 1000, 1000, false);
    sim_add(0, 1, 1000, 1000, true);
    disk_init();
    for (r.disk = 0; r.disk < 2; r.disk++) {
        CHECK(disk_wait(&r) == DISK_OK && about(r.disk).flushes == 1);
        CHECK(sim.drive[0][r.disk].last_command == (r.disk == 0 ? 0xe7 : 0xea));
    }
}

/* ---- what goes wrong ---- */

static const struct {
    const char *name;
    enum disk_status status; /* when it happens each time */
    uint64_t at_most_ns;
    bool tried_again;
} outcomes[FAULTS] = {
    [FAULT_ERROR] = {"error", DISK_FAILED, SECOND, true},
    [FAULT_DEVICE] = {"device fault", DISK_FAILED, SECOND, true},
    [FAULT_MASTER] = {"bus-master error", DISK_FAILED, SECOND, true},
    [FAULT_SHORT] = {"short transfer", DISK_FAILED, SECOND, true},
    [FAULT_DRQ] = {"wants more data", DISK_FAILED, SECOND, true},
    [FAULT_NO_IRQ] = {"lost interrupt", DISK_OK, 2 * SECOND, false},
    [FAULT_HANG] = {"hangs", DISK_TIMED_OUT, 62 * SECOND, true},
    [FAULT_HANG_DRQ] = {"hangs with data", DISK_TIMED_OUT, 62 * SECOND, true},
    [FAULT_STUCK] = {"stuck", DISK_NO_DISK, 63 * SECOND, false},
    [FAULT_PULLED] = {"pulled", DISK_NO_DISK, 63 * SECOND, false},
};

/* Read, write, flush under each fault: once, where the second try mends it, and for ever. */
static void fault(enum fault f, enum disk_op op, uint32_t times)
{
    struct sim_drive *d = sim_add(0, 0, 1000, 1000, false);
    sim_add(0, 1, 1000, 1000, true);
    sim_add(1, 0, 1000, 1000, true);
    disk_init();
    fill(100, 2, 1);
    d->fault = f;
    d->fault_count = times;
    const bool gone = outcomes[f].status == DISK_NO_DISK;
    const enum disk_status want = times == 1 && !gone ? DISK_OK : outcomes[f].status;
    const uint64_t from = sim.now_ns;
    CHECK(move(0, op, 10, op == DISK_FLUSH ? 0 : 16, 100) == want);
    CHECK(sim.now_ns - from <= outcomes[f].at_most_ns);
    CHECK(about(0).retries == outcomes[f].tried_again && about(0).errors == (want != DISK_OK));
    d->fault_count = 0;
    /* Afterwards all is well, or over at once. */
    const uint64_t after = sim.now_ns;
    CHECK(move(0, DISK_WRITE, 30, 16, 100) == (gone ? DISK_NO_DISK : DISK_OK));
    CHECK(move(1, DISK_WRITE, 30, 16, 100) == (gone ? DISK_NO_DISK : DISK_OK));
    CHECK(move(2, DISK_WRITE, 30, 16, 100) == DISK_OK);
    CHECK(sim.now_ns - after < SECOND);
    if (op == DISK_WRITE && want == DISK_OK) CHECK(memcmp(d->data + 10 * 512, mfn_to_virt(100), 8192) == 0);
}

static void one_error_is_mended(void)
{
    for (enum fault f = FAULT_ERROR; f < FAULTS; f++)
        for (enum disk_op op = DISK_READ; op <= DISK_FLUSH; op++) {
            const pid_t child = fork();
            int status;
            if (child == 0) {
                fault(f, op, 1);
                fflush(NULL);
                _exit(0);
            }
            CHECK(waitpid(child, &status, 0) == child);
            if (status != 0) fprintf(stderr, "%s, op %d\n", outcomes[f].name, (int)op);
            CHECK(status == 0);
        }
}

static void errors_come_to_an_end(void)
{
    for (enum fault f = FAULT_ERROR; f < FAULTS; f++)
        for (enum disk_op op = DISK_READ; op <= DISK_FLUSH; op++) {
            const pid_t child = fork();
            int status;
            if (child == 0) {
                fault(f, op, 1000);
                fflush(NULL);
                _exit(0);
            }
            CHECK(waitpid(child, &status, 0) == child);
            if (status != 0) fprintf(stderr, "%s, op %d\n", outcomes[f].name, (int)op);
            CHECK(status == 0);
        }
}

static void done_nothing(struct disk_request *r)
{
    (void)r;
}

static void spurious_interrupts(void)
{
    sim_add(0, 0, 1000, 1000, false);
    disk_init();
    sim_spurious(0);
    sim_spurious(1);
    struct disk_segment s = {100, 0, 512};
    struct disk_request r = {.op = DISK_READ, .segments = &s, .segment_count = 1, .done = done_nothing};
    sim.cpu = 3;
    CHECK(disk_submit(&r) == DISK_OK && sim.kicks == 1);
    sim.cpu = 0;
    sim_spurious(0); /* before it is over */
    CHECK(r.status == DISK_PENDING);
    while (r.status == DISK_PENDING) sim_step(disk_poll(sim.now_ns));
    CHECK(r.status == DISK_OK);
}

/* Asked for from within `done`; the interrupt of the second one gets lost. */
static struct disk_request chain_r;
static struct disk_segment chain_s = {100, 0, 512};
static unsigned chain_length;

static void chain_done(struct disk_request *r)
{
    CHECK(r == &chain_r && r->status == DISK_OK);
    if (++chain_length < 3) CHECK(disk_submit(r) == DISK_OK);
}

static void a_chain(void)
{
    struct sim_drive *d = sim_add(0, 0, 1000, 1000, false);
    disk_init();
    d->fault = FAULT_NO_IRQ;
    d->fault_count = d->fault_after = 1;
    chain_r =
        (struct disk_request){.op = DISK_READ, .segments = &chain_s, .segment_count = 1, .done = chain_done};
    CHECK(disk_submit(&chain_r) == DISK_OK);
    const uint64_t from = sim.now_ns;
    while (chain_length < 3) sim_step(disk_poll(sim.now_ns));
    CHECK(sim.now_ns - from >= SECOND && sim.now_ns - from < 2 * SECOND);
    CHECK(disk_poll(sim.now_ns) == NO_DEADLINE);
}

/* ---- partitions ---- */

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

static void put_header(uint8_t *data, uint64_t at, uint64_t other, uint64_t entries, uint64_t sectors)
{
    uint8_t *h = data + at * 512;
    memset(h, 0, 512);
    memcpy(h, "EFI PART", 8);
    put(h + 8, 0x10000, 4);
    put(h + 12, 92, 4);
    put(h + 24, at, 8);
    put(h + 32, other, 8);
    put(h + 40, 34, 8);
    put(h + 48, sectors - 34, 8);
    put(h + 72, entries, 8);
    put(h + 80, 128, 4);
    put(h + 84, 128, 4);
    put(h + 88, crc32_more(0, data + entries * 512, 16384), 4);
    put(h + 16, crc32_more(0, h, 92), 4);
}

static void put_entry(uint8_t *e, const uint8_t *type, uint64_t first, uint64_t last, const char *name)
{
    memset(e, 0, 128);
    memcpy(e, type, 16);
    put(e + 32, first, 8);
    put(e + 40, last, 8);
    for (unsigned i = 0; name[i] != '\0'; i++) put(e + 56 + 2 * i, (unsigned char)name[i], 2);
}

static uint8_t *put_gpt(struct sim_drive *d)
{
    static const uint8_t other[16] = {1, 2, 3};
    uint8_t *data = d->data;
    const uint64_t end = d->sectors - 1;
    data[450] = 0xee;
    data[510] = 0x55;
    data[511] = 0xaa;
    put_entry(data + 2 * 512, other, 34, 99, "one");
    put_entry(data + 2 * 512 + 5 * 128, gpt_tithe_swap, 100, end - 33, "swap\x01\xe4 of a name that is long");
    memcpy(data + (end - 32) * 512, data + 2 * 512, 16384);
    put_header(data, 1, end, 2, d->sectors);
    put_header(data, end, 1, end - 32, d->sectors);
    return data;
}

static void gpt(void)
{
    put_gpt(sim_add(0, 0, 1000, 1000, false));
    disk_init();
    struct tithe_disk d = about(0);
    CHECK(strcmp(d.table, "GPT") == 0 && d.partition_count == 2);
    CHECK(d.partition[0].number == 1 && d.partition[0].first_sector == 34 && d.partition[0].sectors == 66);
    CHECK(d.partition[0].type[0] == 1 && !d.partition[0].swap && strcmp(d.partition[0].name, "one") == 0);
    CHECK(d.partition[1].number == 6 && d.partition[1].swap && d.partition[1].sectors == 867);
    CHECK(strcmp(d.partition[1].name, "swap?? of a name that is long") == 0);
}

static void gpt_from_the_backup(void)
{
    put_gpt(sim_add(0, 0, 1000, 1000, false))[512 + 40] ^= 1;
    put_gpt(sim_add(0, 1, 1000, 1000, false))[2 * 512 + 60] ^= 1;
    put_gpt(sim_add(1, 0, 1000, 1000, false))[2 * 512 + 60] ^= 1;
    sim.drive[1][0].data[999 * 512] = 'e';
    uint8_t *unprotected = put_gpt(sim_add(1, 1, 1000, 1000, false));
    unprotected[450] = 0x83;
    disk_init();
    CHECK(strcmp(about(0).table, "GPT, by its backup (primary: a damaged header)") == 0 &&
          about(0).partition_count == 2);
    CHECK(strcmp(about(1).table, "GPT, by its backup (primary: damaged entries)") == 0 &&
          about(1).partition_count == 2);
    CHECK(strcmp(about(2).table, "GPT refused (primary: damaged entries; backup: no header)") == 0);
    CHECK(strcmp(about(3).table, "no GPT") == 0);
    CHECK(about(2).partition_count == 0 && about(3).partition_count == 0);
}

static void broken_disk_at_boot(void)
{
    struct sim_drive *d = sim_add(0, 0, 1000, 1000, false);
    put_gpt(d);
    d->fault = FAULT_ERROR;
    d->fault_after = 2; /* sector 0 and header are read, the entries are not; the backup is */
    d->fault_count = 2;
    disk_init();
    CHECK(strstr(about(0).table, "by its backup (primary: the device reported") != NULL &&
          about(0).partition_count == 2);
}

/* Fields that are wrong but have a good CRC. */
static void hostile_headers(void)
{
    static const struct {
        unsigned at, bytes;
        uint64_t value;
        const char *why;
    } all[] = {
        {12, 4, 91, "wrong size"},
        {12, 4, 513, "wrong size"},
        {12, 4, UINT32_MAX, "wrong size"},
        {24, 8, 2, "elsewhere"},
        {40, 8, 0, "not on the disk"},
        {40, 8, UINT64_MAX, "not on the disk"},
        {48, 8, 1000, "not on the disk"},
        {48, 8, UINT64_MAX, "not on the disk"},
        {48, 8, 33, "not on the disk"},
        {72, 8, 0, "may be"},
        {72, 8, 1, "may be"},
        {72, 8, 19, "may be"},
        {72, 8, 999, "may be"},
        {72, 8, UINT64_MAX, "may be"},
        {72, 8, UINT64_MAX - 31, "may be"},
        {80, 4, 0, "supported"},
        {80, 4, 257, "supported"},
        {80, 4, UINT32_MAX, "supported"},
        {84, 4, 0, "supported"},
        {84, 4, 64, "supported"},
        {84, 4, 192, "supported"},
        {84, 4, 1u << 31, "supported"},
        {84, 4, 512, "supported"},
        {84, 4, 127, "supported"},
    };
    struct gpt out;
    struct sim_drive *d = sim_add(0, 0, 1000, 1000, false);
    uint8_t *h = put_gpt(d) + 512;
    CHECK(gpt_header(h, 1, 1000, &out) == NULL && gpt_entry_sectors(&out) == 32);
    put(h + 80, 64, 4); /* fewer, so that 192 bytes each would have room */
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        uint8_t sector[512];
        memcpy(sector, h, 512);
        put(sector + all[i].at, all[i].value, all[i].bytes);
        put(sector + 16, 0, 4);
        const uint64_t bytes = sector[12] | (uint64_t)sector[13] << 8;
        put(sector + 16, crc32_more(0, sector, bytes <= 512 ? bytes : 512), 4);
        const char *why = gpt_header(sector, 1, 1000, &out);
        CHECK(why != NULL);
        if (strstr(why, all[i].why) == NULL) fprintf(stderr, "case %zu: %s\n", i, why);
        CHECK(strstr(why, all[i].why) != NULL);
    }
}

static void hostile_entries(void)
{
    static const struct {
        uint64_t first, last;
        const char *why;
    } all[] = {
        {33, 50, "usable"},   {0, 50, "usable"},           {200, 199, "usable"},
        {900, 967, "usable"}, {900, UINT64_MAX, "usable"}, {UINT64_MAX, UINT64_MAX, "usable"},
        {99, 99, "overlap"},  {34, 966, "overlap"},        {50, 60, "overlap"},
        {966, 966, NULL},
    };
    struct tithe_disk disk;
    struct gpt out;
    struct sim_drive *d = sim_add(0, 0, 1000, 1000, false);
    uint8_t *data = put_gpt(d), *entries = data + 1024;
    put(entries + 5 * 128 + 40, 120, 8);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        put_entry(entries + 127 * 128, gpt_tithe_swap, all[i].first, all[i].last, "x");
        put_header(data, 1, 999, 2, 1000);
        CHECK(gpt_header(data + 512, 1, 1000, &out) == NULL);
        const char *why = gpt_entries(&out, entries, &disk);
        CHECK((why == NULL) == (all[i].why == NULL) && (why == NULL || strstr(why, all[i].why) != NULL));
        CHECK(disk.partition_count == (why == NULL ? 3 : 0));
    }
    for (unsigned i = 0; i < 128; i++) put_entry(entries + i * 128, gpt_tithe_swap, 34 + i, 34 + i, "");
    put_header(data, 1, 999, 2, 1000);
    CHECK(gpt_header(data + 512, 1, 1000, &out) == NULL && gpt_entries(&out, entries, &disk) == NULL);
    CHECK(disk.partition_count == TITHE_DISK_PARTITIONS_MAX);
}

/* ---- a storm ---- */

#define STORM_DISKS    3u
#define STORM_SECTORS  512u
#define STORM_REQUESTS 24u
#define STORM_FRAMES   16u /* of each request */

static struct storm {
    struct disk_request r;
    struct disk_segment segments[DISK_SEGMENTS_MAX];
    bool busy;
    uint32_t order;
    uint8_t wrote[STORM_FRAMES * PAGE_BYTES];
} storms[STORM_REQUESTS];
/* What each sector holds; `unknown`: a write to it failed, so it may be torn. */
static uint8_t model[STORM_DISKS][STORM_SECTORS][512];
static bool unknown[STORM_DISKS][STORM_SECTORS];
static uint32_t order_next, order_done[2], storm_over;

/* Between its pieces of frames and `bytes`. */
static void gather(const struct storm *s, uint8_t *bytes, bool out)
{
    for (uint32_t i = 0; i < s->r.segment_count; i++) {
        uint8_t *piece = (uint8_t *)mfn_to_virt(s->segments[i].mfn) + s->segments[i].offset;
        memcpy(out ? bytes : piece, out ? piece : bytes, s->segments[i].bytes);
        bytes += s->segments[i].bytes;
    }
}

static void storm_done(struct disk_request *r)
{
    struct storm *s = CONTAINER_OF(r, struct storm, r);
    const unsigned channel = r->disk / 2;
    CHECK(host_env_locks() == 0 && s->busy && r->status != DISK_PENDING);
    CHECK(s->order >= order_done[channel]); /* first come, first served */
    order_done[channel] = s->order;
    s->busy = false;
    storm_over++;
    static uint8_t got[STORM_FRAMES * PAGE_BYTES];
    gather(s, got, true);
    for (uint32_t at = 0; at < r->sectors; at++) {
        const uint64_t sector = r->sector + at;
        if (r->op == DISK_WRITE) {
            unknown[r->disk][sector] = r->status != DISK_OK;
            memcpy(model[r->disk][sector], s->wrote + at * 512, 512);
        } else if (r->status == DISK_OK && !unknown[r->disk][sector]) {
            CHECK(memcmp(got + at * 512, model[r->disk][sector], 512) == 0);
        }
    }
}

/* Cuts `bytes` into pieces of its frames, at random. */
static uint32_t cut(struct storm *s, uint32_t bytes)
{
    uint32_t n = 0;
    const mfn_t first = 1 + (mfn_t)(s - storms) * STORM_FRAMES;
    while (bytes > 0) {
        const uint32_t most = bytes < PAGE_BYTES ? bytes : PAGE_BYTES;
        uint32_t part = n < 8 ? 2 + 2 * (uint32_t)random_below(most / 2) : most;
        if (n >= 15) return 0; /* no frame left: another try */
        part = part > most ? most : part;
        s->segments[n] =
            (struct disk_segment){first + n, 2 * (uint32_t)random_below((PAGE_BYTES - part) / 2 + 1), part};
        n++;
        bytes -= part;
    }
    return n;
}

static void storm_submit(struct storm *s)
{
    const uint32_t sectors = 1 + (uint32_t)random_below(60);
    s->r = (struct disk_request){
        .disk = (uint32_t)random_below(STORM_DISKS), .done = storm_done, .segments = s->segments};
    s->r.op = (enum disk_op)random_below(random_below(10) == 0 ? 3 : 2);
    s->r.sector = random_below(STORM_SECTORS - sectors);
    if (s->r.op != DISK_FLUSH) {
        while (s->r.segment_count == 0) s->r.segment_count = cut(s, sectors * 512);
        for (uint32_t i = 0; i < sectors * 512; i++)
            s->wrote[i] = (uint8_t)(order_next * 7 + i * 3 + i / 512);
        gather(s, s->wrote, false);
    }
    s->order = ++order_next;
    s->busy = true;
    CHECK(disk_submit(&s->r) == DISK_OK);
}

static void storm(void)
{
    struct sim_drive *drives[STORM_DISKS] = {sim_add(0, 0, STORM_SECTORS, STORM_SECTORS, false),
                                             sim_add(0, 1, STORM_SECTORS, STORM_SECTORS, true),
                                             sim_add(1, 0, STORM_SECTORS, STORM_SECTORS, true)};
    disk_init();
    for (uint32_t turn = 0; turn < 20000; turn++) {
        struct storm *s = &storms[random_below(STORM_REQUESTS)];
        if (!s->busy) storm_submit(s);
        struct sim_drive *d = drives[random_below(STORM_DISKS)];
        if (random_below(200) == 0 && d->fault_count == 0) {
            d->fault = (enum fault)(FAULT_ERROR + random_below(FAULT_STUCK - FAULT_ERROR));
            d->fault_count = 1 + (uint32_t)random_below(4);
        }
        if (random_below(50) == 0) sim_spurious((unsigned)random_below(2));
        const uint64_t next = disk_poll(sim.now_ns);
        if (next != NO_DEADLINE) sim_step(next);
    }
    for (uint64_t next; (next = disk_poll(sim.now_ns)) != NO_DEADLINE;) sim_step(next);
    for (size_t i = 0; i < STORM_REQUESTS; i++) CHECK(!storms[i].busy);
    CHECK(storm_over == order_next && order_next > 5000);
    uint64_t counted = 0;
    for (uint32_t i = 0; i < STORM_DISKS; i++) {
        const struct tithe_disk d = about(i);
        counted += d.reads + d.writes + d.flushes + d.errors;
        CHECK(d.errors > 0 && d.retries > 0);
        drives[i]->fault_count = 0;
    }
    CHECK(counted == storm_over + STORM_DISKS); /* and one read each by the scan */
    printf("# %u requests, %u + %u resets, %llu s\n", storm_over, sim.resets[0], sim.resets[1],
           (unsigned long long)(sim.now_ns / SECOND));
}

/* Everything that waits is told when a cable is given up. */
static void nobody_is_forgotten(void)
{
    sim_add(0, 0, STORM_SECTORS, STORM_SECTORS, false);
    sim_add(0, 1, STORM_SECTORS, STORM_SECTORS, false);
    sim_add(1, 0, STORM_SECTORS, STORM_SECTORS, false);
    disk_init();
    for (size_t i = 0; i < STORM_REQUESTS; i++) storm_submit(&storms[i]);
    sim.drive[0][1].fault = FAULT_STUCK;
    sim.drive[0][1].fault_count = 1;
    for (uint64_t next; (next = disk_poll(sim.now_ns)) != NO_DEADLINE;) sim_step(next);
    CHECK(storm_over == STORM_REQUESTS);
    for (size_t i = 0; i < STORM_REQUESTS; i++)
        CHECK(storms[i].r.status == DISK_OK || (storms[i].r.status == DISK_NO_DISK && storms[i].r.disk < 2));
    CHECK(move(0, DISK_READ, 0, 1, 400) == DISK_NO_DISK && move(2, DISK_READ, 0, 1, 400) == DISK_OK);
}

int main(void)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } tests[] = {
        {"no PCI", nobody_there},
        {"no IDE controller", no_controller},
        {"controllers of other kinds are left alone", controllers_we_do_not_drive},
        {"four drives, one of them ATAPI", four_drives},
        {"a slave without a master", slave_without_master},
        {"an interrupt line out of reach", line_out_of_reach},
        {"drives that lie about themselves", drives_that_lie},
        {"requests that are refused", refused},
        {"a lower DMA limit", lower_limit},
        {"the biggest requests, at the end of 28 bits and beyond", biggest},
        {"flushes", flushes},
        {"a fault that happens once", one_error_is_mended},
        {"a fault that stays", errors_come_to_an_end},
        {"spurious interrupts", spurious_interrupts},
        {"a request from within another's end", a_chain},
        {"a GPT", gpt},
        {"a GPT's backup, and none", gpt_from_the_backup},
        {"a disk that fails at boot", broken_disk_at_boot},
        {"hostile GPT headers", hostile_headers},
        {"hostile GPT entries", hostile_entries},
        {"a storm of requests and faults", storm},
        {"all requests end when a cable is given up", nobody_is_forgotten},
    };
    int bad = 0;
    printf("1..%zu\n", ARRAY_LEN(tests));
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        int status = 0;
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            sim_reset();
            tests[i].run();
            fflush(NULL);
            _exit(0);
        }
        if (child < 0 || waitpid(child, &status, 0) != child) status = 1;
        printf("%s %zu %s\n", status == 0 ? "ok" : "not ok", i + 1, tests[i].name);
        bad += status != 0;
    }
    return bad != 0;
}
