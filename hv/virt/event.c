/* SPDX-License-Identifier: MIT */
#include "virt/event.h"

#include "x86/msr.h"

static bool contributory(uint32_t vector)
{
    return vector == 0 || (vector >= 10 && vector <= 13);
}

uint32_t event_combine(uint32_t old, uint32_t event)
{
    if ((old & EVENT_VALID) == 0 || (old & EVENT_TYPE) != EVENT_EXCEPTION) return event;
    uint32_t first = old & EVENT_VECTOR, second = event & EVENT_VECTOR;
    bool second_bad = contributory(second) || second == VECTOR_PF;
    if (first == VECTOR_DF && second_bad) return EVENT_TRIPLE_FAULT;
    if ((contributory(first) && contributory(second)) || (first == VECTOR_PF && second_bad))
        return EVENT_VALID | EVENT_HAS_ERROR | EVENT_EXCEPTION | VECTOR_DF;
    return event;
}
