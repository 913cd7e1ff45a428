/* SPDX-License-Identifier: MIT
 *
 * What the steward stands on: the core's system calls (machine_core.c), or a
 * simulated machine on the build host (sim/). Both keep to tithe/abi.h.
 */
#ifndef STEWARD_MACHINE_H
#define STEWARD_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "tithe/abi.h"

struct machine {
    const struct tithe_snapshot *snapshot; /* as of the last refresh() */
    struct tithe_note *note;               /* what the core reads after a death of the steward */
    /* These return what the system call of the same name does: a value, or minus an errno. */
    int64_t (*wait)(uint64_t until_ns);
    int64_t (*refresh)(void);
    int64_t (*plan)(const struct tithe_action *actions, uint64_t count, struct tithe_plan_result *result);
    int64_t (*mgmt)(struct tithe_mgmt *m);
    int64_t (*phase)(
        uint64_t phase); /* during TITHE_PHASE_POLICY, budget_alarm() may be called at any moment */
    /* Bytes of the management line that have arrived: 0 when there are none. */
    int64_t (*read)(void *bytes, size_t size_bytes);
    bool (*finished)(void); /* the line is closed for good; never under the core */
};

/* lua/budget.c: policy code has used TITHE_ALARM_PART of its CPU time. Called asynchronously, once in a phase. */
void budget_alarm(void);

/* NULL when the core does not answer, which means: not under Tithe. */
const struct machine *machine_core(void);

#endif
