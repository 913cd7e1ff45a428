/* SPDX-License-Identifier: MIT */
#define _DEFAULT_SOURCE
#include "mem_tables.h"

#include <signal.h>

static mfn_t take(void *ctx)
{
    struct test_tables *t = ctx;

    return t->next < t->limit ? t->next++ : MFN_NONE;
}

static void give(void *ctx, mfn_t mfn)
{
    struct test_tables *t = ctx;

    assert_in_range(mfn, 1, t->limit - 1);
    memset(mfn_to_virt(mfn), 0xee, PAGE_BYTES);
    t->freed++;
}

void tables_make(struct test_tables *t, const struct pt_format *format, uint64_t limit)
{
    host_env_reset(limit + 1);
    *t = (struct test_tables){.pt = {.format = format, .table_alloc = take, .table_free = give, .ctx = t},
                              .next = 1,
                              .limit = limit + 1};
    assert_true(pt_create(&t->pt));
}

uint64_t cpu_entry(const struct pt *pt, uint64_t page, uint64_t *span)
{
    const uint64_t present = pt->format == &pt_format_ept ? 7 : 1;
    uint64_t table = pt->root;

    for (int shift = 27;; shift -= 9) {
        uint64_t entry;
        memcpy(&entry, direct_base + table + 8 * (page >> shift & 511), 8);
        *span = 1ull << shift;
        if (!(entry & present) || shift == 0 || (entry & 0x80)) return entry;
        table = entry & 0xffffffffff000;
    }
}

/* The trap flag raises SIGTRAP after each instruction (SDM 3B 17.3.1.4). */
#define TRAP_FLAG 0x100u

static void (*step_check)(void *);
static void *step_ctx;
static uint64_t steps;

static void step(int signal)
{
    (void)signal;
    steps++;
    step_check(step_ctx);
}

uint64_t every_instruction(void (*act)(void *ctx), void (*check)(void *ctx), void *ctx)
{
    struct sigaction old;
    const struct sigaction ours = {.sa_handler = step};

    step_check = check;
    step_ctx = ctx;
    steps = 0;
    sigaction(SIGTRAP, &ours, &old);
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
    act(ctx);
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TRAP_FLAG);
    sigaction(SIGTRAP, &old, NULL);
    return steps;
}
