/* SPDX-License-Identifier: MIT
 *
 * The steward's system calls as a hostile program would make them: on real tables, over frames of the build host.
 */
#include "host_env.h"

#include "drv/serial.h"
#include "mem/direct.h"
#include "mem/frame.h"
#include "steward/core/process.h"
#include "x86/host_map.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm_tests.h"

enum { SYS_WRITE = 1, SYS_MMAP = 9, SYS_MUNMAP = 11, SYS_BRK = 12, SYS_WRITEV = 20, SYS_GETRANDOM = 318 };

#define FRAMES      4096u
#define ARENA_PAGES 256u
#define HEAP        0x500000ull

struct pt host_pt;
static struct process process;
static uint64_t sent_bytes;

/* ---- what the calls ask of the machine ---- */

bool tithe_syscall(struct process *p, uint64_t number, const uint64_t arg[3], int64_t *result)
{
    (void)p, (void)number, (void)arg, (void)result;
    return false;
}

size_t serial_rx(void *out, size_t size)
{
    (void)out, (void)size;
    return 0;
}

void serial_tx_frame(const void *bytes, size_t size)
{
    (void)bytes;
    sent_bytes += size;
}

static mfn_t core_table(void *ctx)
{
    (void)ctx;
    return frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
}

/* ---- a process ---- */

static void start(void)
{
    host_env_reset(FRAMES);
    const uint64_t kept = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    frames_init(direct_base, FRAMES);
    frames_add(0, kept, FRAME_CORE);
    frames_add(kept, FRAMES - kept, FRAME_FREE);
    host_pt = (struct pt){.format = &pt_format_host, .table_alloc = core_table};
    assert_true(pt_create(&host_pt));
    process =
        (struct process){.brk_start = HEAP, .brk = HEAP, .brk_mapped = HEAP, .mmap_next = PROCESS_MMAP_TOP};
    assert_true(user_space_create(&process.space));
    process.pages_max = process.space.pages + ARENA_PAGES;
    sent_bytes = 0;
}

static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    process.user.gpr[RAX] = number;
    process.user.gpr[RDI] = a;
    process.user.gpr[RSI] = b;
    process.user.gpr[RDX] = c;
    process.user.gpr[R10] = d;
    process_syscall(&process);
    return (int64_t)process.user.gpr[RAX];
}

static int64_t map(uint64_t pages)
{
    return call(SYS_MMAP, 0, pages * PAGE_BYTES, 3 /* read, write */, 0x22 /* private, anonymous */);
}

/* A call may go over the limit by the tables of what it maps, never by more. */
#define TABLES_SLACK 8u
static void assert_bounded(void)
{
    assert_true(process.space.pages <= process.pages_max + TABLES_SLACK);
}

static void heap_given_back_twice_counts_once(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(call(SYS_BRK, HEAP + 200 * PAGE_BYTES, 0, 0, 0), HEAP + 200 * PAGE_BYTES);
        assert_int_equal(call(SYS_MUNMAP, HEAP, 200 * PAGE_BYTES, 0, 0), 0);
        assert_int_equal(call(SYS_BRK, HEAP, 0, 0, 0), HEAP);
    }
    assert_true(map(ARENA_PAGES + 1) == -TITHE_ENOMEM);
    for (unsigned i = 0; i < 8; i++) (void)map(200);
    assert_bounded();
}

static void heap_end_beyond_all_memory_is_refused(void **state)
{
    const uint64_t ends[] = {UINT64_MAX, UINT64_MAX - PAGE_BYTES, USER_FOREIGN, USER_TOP, 1ull << 63};

    (void)state;
    start();
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        assert_int_equal(call(SYS_BRK, ends[i], 0, 0, 0), HEAP);
        assert_int_equal(process.brk_mapped, HEAP);
    }
    assert_true(map(ARENA_PAGES + 1) == -TITHE_ENOMEM);
}

/* Tables stay when mappings go: they are no way around the limit either. */
static void tables_are_within_the_limit(void **state)
{
    (void)state;
    start();
    for (unsigned i = 0; i < 400000; i++) {
        const int64_t high = map(1), low = map(1);
        if (low < 0) break;
        assert_int_equal(call(SYS_MUNMAP, (uint64_t)high, PAGE_BYTES, 0, 0), 0);
        assert_int_equal(call(SYS_MUNMAP, (uint64_t)low, PAGE_BYTES, 0, 0), 0);
    }
    assert_bounded();
}

/* What an honest allocator does all day costs nothing that stays. */
static void a_large_block_comes_and_goes(void **state)
{
    (void)state;
    start();
    const int64_t first = map(100);
    assert_true(first > 0);
    assert_int_equal(call(SYS_MUNMAP, (uint64_t)first, 100 * PAGE_BYTES, 0, 0), 0);
    const uint64_t pages = process.space.pages;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(map(100), first);
        assert_int_equal(call(SYS_MUNMAP, (uint64_t)first, 100 * PAGE_BYTES, 0, 0), 0);
    }
    assert_int_equal(process.space.pages, pages);
}

static void unmapping_everything_harms_only_itself(void **state)
{
    (void)state;
    start();
    assert_true(map(10) > 0);
    assert_int_equal(call(SYS_MUNMAP, PAGE_BYTES, USER_TOP - PAGE_BYTES, 0, 0), 0);
    assert_int_equal(process.mmap_next, PROCESS_MMAP_TOP - 11 * PAGE_BYTES);
    assert_true(map(10) > 0);
    assert_bounded();
}

/* The snapshot outlives the steward: one that could write it would spoil it for every later one. */
static void what_is_foreign_stays_read_only(void **state)
{
    const uint64_t mark = 0x1122334455667788ull;

    (void)state;
    start();
    const mfn_t mfn = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);
    assert_true(user_map_frame(&process.space, TITHE_SNAPSHOT_ADDR, mfn, USER_READ));
    assert_false(user_protect(&process.space, TITHE_SNAPSHOT_ADDR, 1, USER_READ | USER_WRITE));
    assert_false(user_copy_out(&process.space, TITHE_SNAPSHOT_ADDR, &mark, sizeof mark));
    assert_true(user_protect(&process.space, TITHE_SNAPSHOT_ADDR, 1, USER_READ));
}

static void one_call_does_a_bounded_amount(void **state)
{
    (void)state;
    start();
    const uint64_t at = (uint64_t)map(64);
    static char lines[4096];
    for (size_t i = 0; i < sizeof lines; i++) lines[i] = i % 2 == 0 ? 'x' : '\n';
    assert_true(user_copy_out(&process.space, at, lines, sizeof lines));
    assert_int_equal(call(SYS_GETRANDOM, at, 64 * PAGE_BYTES, 0, 0), 256);
    assert_true(user_copy_out(&process.space, at, lines, sizeof lines));
    assert_int_equal(call(SYS_WRITE, 2, at, sizeof lines, 0), 16);
    assert_int_equal(call(SYS_WRITE, 2, at, 5, 0), 5);
    assert_int_equal(call(SYS_WRITE, 2, at + 1, 1, 0), 1);

    uint64_t parts[32];
    for (size_t i = 0; i < 32; i += 2) {
        parts[i] = at;
        parts[i + 1] = 16384;
    }
    assert_true(user_copy_out(&process.space, at + 63 * PAGE_BYTES, parts, sizeof parts));
    assert_int_equal(call(SYS_WRITEV, 1, at + 63 * PAGE_BYTES, 16, 0), 16384);
    assert_int_equal(sent_bytes, 16384);
}

const struct CMUnitTest call_tests[] = {
    cmocka_unit_test(heap_given_back_twice_counts_once),
    cmocka_unit_test(heap_end_beyond_all_memory_is_refused),
    cmocka_unit_test(tables_are_within_the_limit),
    cmocka_unit_test(a_large_block_comes_and_goes),
    cmocka_unit_test(unmapping_everything_harms_only_itself),
    cmocka_unit_test(what_is_foreign_stays_read_only),
    cmocka_unit_test(one_call_does_a_bounded_amount),
};
const size_t call_test_count = sizeof call_tests / sizeof call_tests[0];
