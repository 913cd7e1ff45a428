/* SPDX-License-Identifier: MIT
 *
 * The core's side of the steward: a ring-3 process that is started again whenever it dies.
 */
#ifndef TITHE_STEWARD_CORE_STEWARD_H
#define TITHE_STEWARD_CORE_STEWARD_H

#include "tithe/abi.h"
#include "tithe/types.h"

/* Finds the steward in the module archive and starts it. NULL, or why not. */
const char *steward_init(void);
/* TITHE_WAKE_*: something it may be waiting for. On any CPU; the boot CPU does it in steward_poll. */
void steward_wake(uint64_t bits);
/* What follows is the boot CPU's. */
/* Starts it again, or wakes it when there is something, its time has come or input waits; returns when to ask again at the latest. */
uint64_t steward_poll(uint64_t now_ns);
/* Runs it until it waits, dies, spends its budget, or the CPU is wanted otherwise. No vCPU is switched in. */
void steward_turn(void);
bool steward_runnable(void);
uint64_t steward_restarts(void);
/* Policy ticks so far, and TSC ticks the last one took: snapshot, script, plan and all. */
uint64_t policy_ticks(void);
uint64_t policy_tick_last(void);
/* TSC ticks the core spent on the last change of policy: staging its source and activating it. */
uint64_t policy_reload_ticks(void);

#endif
