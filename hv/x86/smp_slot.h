/* SPDX-License-Identifier: MIT
 *
 * What a CPU that is being started finds: a page below 1 MiB of its own, with its first instructions and a slot that says whether it is
 * still wanted and what its stack is. The page is never used for anything else, so a CPU that awakes after it has been given up finds
 * that out, whatever has been started meanwhile.
 */
#ifndef TITHE_X86_SMP_SLOT_H
#define TITHE_X86_SMP_SLOT_H

/* In the page; the instructions come first. Then offsets in the slot, checked in x86/smp.c. */
#define SLOT       256
#define SLOT_STATE 0
#define SLOT_SELF  8
#define SLOT_STACK 16
#define SLOT_CR3   24

/* States; each change is a compare-and-swap, so that the boot CPU's patience and a slow answer cannot both win. */
#define SLOT_WAITING  1 /* to SLOT_CLAIMED by the CPU's first instructions */
#define SLOT_CLAIMED  2 /* to SLOT_UP when it has all that the core needs, or SLOT_REFUSED */
#define SLOT_UP       3 /* to SLOT_IN_STEP by the boot CPU */
#define SLOT_IN_STEP  4 /* to SLOT_READY or SLOT_REFUSED by ap_main's answer */
#define SLOT_READY    5
#define SLOT_REFUSED  6
#define SLOT_GIVEN_UP 7 /* by the boot CPU */
#define SLOT_TOO_LATE 8 /* it came after that, and halted */

#ifndef __ASSEMBLER__

#include "tithe/types.h"
#include "x86/tsc_sync.h"

struct smp_slot {
    uint32_t state;
    uint32_t number; /* place in ACPI's list */
    struct smp_slot *self;
    uint64_t stack_top;
    uint64_t cr3; /* of the core's tables: below 4 GiB */
    struct percpu *cpu;
    const char *why; /* of SLOT_REFUSED */
    struct tsc_sync sync;
};

#endif
#endif
