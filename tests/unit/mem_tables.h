/* SPDX-License-Identifier: MIT
 *
 * Page tables in an arena, for tests of the walker, with a second opinion on what they say.
 */
#ifndef TITHE_TESTS_MEM_TABLES_H
#define TITHE_TESTS_MEM_TABLES_H

#include "mem_machine.h"

/* Table pages come from frame 1 on; `limit` of them. */
struct test_tables {
    struct pt pt;
    mfn_t next, limit;
    uint64_t freed;
};
void tables_make(struct test_tables *t, const struct pt_format *format, uint64_t limit);

/* The entry that the CPU comes to for `page`, by the manuals' bits rather than the format's; *span is what it
 * covers. */
uint64_t cpu_entry(const struct pt *pt, uint64_t page, uint64_t *span);

/* Runs act(ctx) one machine instruction at a time, and check(ctx) between any two. Returns how many there
 * were. */
uint64_t every_instruction(void (*act)(void *ctx), void (*check)(void *ctx), void *ctx);

#endif
