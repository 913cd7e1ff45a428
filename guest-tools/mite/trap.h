// SPDX-License-Identifier: MIT
// The IDT, and calls that survive an exception.
#ifndef MITE_TRAP_H
#define MITE_TRAP_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VECTOR_DEBUG = 1,
    VECTOR_NMI = 2,
    VECTOR_BREAKPOINT = 3,
    VECTOR_OVERFLOW = 4,
    VECTOR_EXCEPTIONS = 32,
    VECTOR_COUNT = 256,
};

// As trap_common and the stubs in start.S push it.
struct trap_frame {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
};

struct trap_record {
    uint32_t vector, error, eip, cr2;
};

void trap_init(void);

// Another vCPU uses the same IDT.
void trap_load(void);

// Calls `handler` with interrupts off for every interrupt on `vector` (32 to 255, or VECTOR_NMI).
void trap_on(uint32_t vector, void (*handler)(void));

// Calls operation(argument). True if it returned; false if an exception ended it, with the
// exception in `caught`. What the operation did until then stays done. Debug, NMI, breakpoint and
// overflow are counted and returned from. Guards nest.
bool guarded(void (*operation)(void *), void *argument, struct trap_record *caught);

// Debug, NMI, breakpoint and overflow exceptions seen inside guarded calls since the start.
uint32_t trap_soft_count(void);

// Loads an IDT without entries, so that the next exception is a triple fault.
void trap_destroy(void);

#endif
