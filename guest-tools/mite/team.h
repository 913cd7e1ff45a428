// SPDX-License-Identifier: MIT
// The vCPUs that work: the first alone, or with the others that the command line asks for.
#ifndef MITE_TEAM_H
#define MITE_TEAM_H

#include <stdbool.h>
#include <stdint.h>

#include "smp.h"

// Starts vCPUs until `count` of them work. False if one does not come, or the machine has fewer.
bool team_start(uint32_t count);

uint32_t team_size(void);

// Everybody does work(cpu) at once, with interrupts off; returns when all have, looking after the balloon meanwhile.
void team_do(void (*work)(uint32_t cpu));

// One of the others does something, which the caller waits for in the end.
void team_begin(uint32_t cpu, void (*work)(uint32_t cpu));
void team_end(uint32_t cpu);

#endif
