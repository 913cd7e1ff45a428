// SPDX-License-Identifier: MIT
// What a guest does that means harm, or does not know better. None of it may hurt anybody but the
// guest. Each act prints a line before and, if the machine still runs, one after.
#ifndef MITE_HOSTILE_H
#define MITE_HOSTILE_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

struct hostile_act {
    const char *name;
    void (*run)(void);
    bool deadly; // the guest is not expected to live: "all" leaves it out
};

// "all" is every act that is not deadly.
bool hostile_known(struct span name);
void hostile_run(struct span name);

// Runs operation(argument) with exceptions counted for the line after the act.
bool attempt(void (*operation)(void *argument), void *argument);

// An address after the end of RAM and below the devices, where nothing answers.
uint32_t hostile_hole(void);

// A fresh or free page that holds nothing; its content is the caller's. PAGE_NONE if there is none.
uint32_t hostile_scratch_page(void);

// Each ends with an act without a name.
extern const struct hostile_act hostile_cpu_acts[];
extern const struct hostile_act hostile_memory_acts[];
extern const struct hostile_act hostile_io_acts[];
extern const struct hostile_act hostile_mode_acts[];

#endif
