/* SPDX-License-Identifier: MIT
 *
 * Who runs next: vCPUs and the steward, by virtual time.
 */
#ifndef TITHE_VM_SCHED_H
#define TITHE_VM_SCHED_H

#include "tithe/types.h"

struct sched_entity {
    struct sched_entity *next; /* in the run queue, by ascending vtime */
    uint64_t vtime_ns;         /* CPU time used, divided by weight */
    uint64_t cpu_ns;           /* CPU time used */
    uint32_t weight;           /* from shares; 1024 is one fair part */
    bool queued;
    bool steward;              /* the steward; else a vCPU */
};

#endif
