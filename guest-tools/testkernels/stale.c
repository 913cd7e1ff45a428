// SPDX-License-Identifier: MIT
// Does every vCPU forget a page that went into the balloon? All others use page A all the time. The first gives it away and at
// once touches pages B, one of which most likely gets the frame that was A's. Who still uses A by an old translation then reads
// B's content there, or writes into B. One that has forgotten takes A back out of the balloon by using it, and finds zeros.
// rounds=N in the command line: how often. For 32 rounds in 64 the others hold interrupts off.
#include <stdbool.h>

#include "apic.h"
#include "clock.h"
#include "console.h"
#include "cpu.h"
#include "multiboot.h"
#include "smp.h"
#include "text.h"
#include "trap.h"
#include "virtio.h"

#define PAGE_BYTES 4096U
#define PAGE_WORDS 64U // as far as they are used
#define PAGE_A     0x800000U
#define PAGES_B    0x900000U
#define B_COUNT    64U // freed frames wait behind some that a CPU has in stock

#define BALLOON_ADDRESS   0xD0000000U // of Tithe's platform
#define BALLOON_DEVICE_ID 5U
#define BALLOON_FEATURES  (VIRTIO_FEATURE_VERSION_1 | 1) // the host is told before a page is used again
enum { INFLATE, DEFLATE, QUEUES };

#define TAG_A  0xAAAA0000U // + round
#define TAG_B  0xBBBB0000U
#define OTHERS 0xCCCCCCCCU

#define ROUNDS_DEFAULT 500U
#define ROUNDS_MAX     0xFFFFU
#define TURNS          200U // of each other vCPU, while there might be something stale

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info);

static struct virtio balloon;
static struct virtqueue queues[QUEUES];
static uint32_t page_numbers[B_COUNT];

static volatile uint32_t now_round; // 0: rest
static struct {
    volatile uint32_t round; // which it has seen
    volatile uint32_t turns;
    volatile uint32_t stale_reads;
} other[CPUS_MAX];

static void use(uint32_t cpu, uint32_t round)
{
    volatile uint32_t *page = (volatile uint32_t *)PAGE_A;
    uint32_t at = other[cpu].turns % (PAGE_WORDS / CPUS_MAX) * CPUS_MAX + cpu;
    uint32_t value = page[at];
    if (value != (TAG_A | round) && value != 0 && value != OTHERS) other[cpu].stale_reads++;
    page[at] = OTHERS;
    other[cpu].turns++;
}

static void other_main(uint32_t cpu)
{
    bool off = true;
    for (;;) {
        uint32_t round = now_round;
        if (round != 0 &&
            off != (round % 64 >= 32)) { // only then: Bochs 2.7 looks for interrupts at each CLI
            off = !off;
            if (off)
                __asm__ volatile("cli");
            else
                __asm__ volatile("sti");
        }
        if (round != 0) use(cpu, round);
        other[cpu].round = round;
        if (round == 0) pause();
    }
}

static void balloon_move(uint32_t queue, uint32_t address, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) page_numbers[i] = address / PAGE_BYTES + i;
    queues[queue].descriptors[0] = (struct descriptor){(uint32_t)page_numbers, count * 4, 0, 0};
    virtqueue_offer(&balloon, &queues[queue], 0);
    while (!virtqueue_returned(&queues[queue])) pause();
}

static void fill(uint32_t address, uint32_t value)
{
    volatile uint32_t *page = (volatile uint32_t *)address;
    for (uint32_t i = 0; i < PAGE_WORDS; i++) page[i] = value;
}

static uint32_t count_wrong(uint32_t address, uint32_t value)
{
    const volatile uint32_t *page = (const volatile uint32_t *)address;
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < PAGE_WORDS; i++) wrong += page[i] != value;
    return wrong;
}

static void begin(uint32_t round, uint32_t count)
{
    now_round = round;
    for (uint32_t cpu = 1; cpu < count; cpu++)
        while (other[cpu].round != round) pause();
}

static void let_them_use(uint32_t count)
{
    uint32_t turns[CPUS_MAX];
    for (uint32_t cpu = 1; cpu < count; cpu++) turns[cpu] = other[cpu].turns;
    for (uint32_t cpu = 1; cpu < count; cpu++)
        while (other[cpu].turns - turns[cpu] < TURNS) pause();
}

// Returns how many words of B somebody else wrote.
static uint32_t do_round(uint32_t round, uint32_t count)
{
    fill(PAGE_A, TAG_A | round);
    begin(round, count);
    balloon_move(INFLATE, PAGE_A, 1);
    for (uint32_t i = 0; i < B_COUNT; i++) fill(PAGES_B + i * PAGE_BYTES, TAG_B | round);
    let_them_use(count);
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < B_COUNT; i++) wrong += count_wrong(PAGES_B + i * PAGE_BYTES, TAG_B | round);
    begin(0, count);
    balloon_move(INFLATE, PAGES_B, B_COUNT);
    balloon_move(DEFLATE, PAGES_B, B_COUNT);
    return wrong;
}

static bool open_balloon(void)
{
    if (!virtio_is(BALLOON_ADDRESS, BALLOON_DEVICE_ID) ||
        !virtio_start(&balloon, BALLOON_ADDRESS, BALLOON_FEATURES))
        return false;
    for (uint32_t i = 0; i < QUEUES; i++)
        if (!virtio_add_queue(&balloon, &queues[i], i)) return false;
    virtio_run(&balloon);
    return true;
}

static _Noreturn void fail(const char *what)
{
    say("stale: %s\n", what);
    machine_exit(2);
}

static uint32_t rounds_wanted(const struct multiboot_info *info)
{
    struct span line =
        span_of(info->flags & MULTIBOOT_HAS_COMMAND_LINE ? (const char *)info->command_line : "");
    uint64_t rounds = ROUNDS_DEFAULT;
    for (; line.length > 0; line = span_skip(line, 1)) {
        if (!span_starts(line, "rounds=")) continue;
        line = span_skip(line, 7);
        line.length = span_find(line, ' ');
        if (!parse_number(line, &rounds) || rounds > ROUNDS_MAX) fail("rounds=N, up to 65535");
        break;
    }
    return (uint32_t)rounds;
}

_Noreturn void kernel_main(uint32_t magic, const struct multiboot_info *info)
{
    console_init();
    trap_init();
    apic_init(false);
    clock_init();
    if (magic != MULTIBOOT_LOADER_MAGIC) fail("not started by a Multiboot loader");
    uint32_t rounds = rounds_wanted(info), count = smp_count();
    if (count < 2) fail("takes two vCPUs");
    if (!open_balloon()) fail("there is no balloon");
    for (uint32_t cpu = 1; cpu < count; cpu++)
        if (!smp_start(cpu, other_main)) fail("a vCPU does not start");

    uint32_t reads = 0, writes = 0;
    for (uint32_t round = 1; round <= rounds; round++) writes += do_round(round, count);
    for (uint32_t cpu = 1; cpu < count; cpu++) reads += other[cpu].stale_reads;
    say("stale: vcpus=%u rounds=%u stale_reads=%u stale_writes=%u\n", count, rounds, reads, writes);
    machine_exit(reads + writes == 0 ? 0 : 1);
}
