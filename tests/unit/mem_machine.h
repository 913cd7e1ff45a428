/* SPDX-License-Identifier: MIT
 *
 * A small machine for the tests of hv/mem.
 */
#ifndef TITHE_TESTS_MEM_MACHINE_H
#define TITHE_TESTS_MEM_MACHINE_H

#include "host_env.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/frame_table.h"
#include "mem/ledger.h"
#include "mem/p2m.h"
#include "mem/p2m_tables.h"
#include "mem_lookup.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* All of [0, frames) is RAM; the first `machine_core` hold the frame table. */
void machine(uint64_t frames);
extern uint64_t machine_core;

static inline uint64_t free_frames(void)
{
    struct frame_counts c;

    frames_counts(&c);
    return c.free;
}

/* Fails the test with the ledger's words unless everything agrees. */
void assert_ledger(struct p2m *const *maps, size_t count);

extern const struct pt_format *const both_formats[2]; /* EPT, NPT */

extern const struct CMUnitTest frame_tests[], pt_tests[], host_map_tests[], p2m_tests[], ledger_tests[],
    share_tests[];
extern const size_t frame_test_count, pt_test_count, host_map_test_count, p2m_test_count, ledger_test_count,
    share_test_count;

#endif
