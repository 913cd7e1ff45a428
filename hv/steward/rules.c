/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* The index of a VM in the snapshot, which is sorted by id, or vm_count. */
static uint32_t vm_index(const struct tithe_snapshot *s, uint32_t id)
{
    uint32_t low = 0, high = s->vm_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (s->vm[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < s->vm_count && s->vm[low].id == id ? low : s->vm_count;
}

const struct tithe_vm_snapshot *rules_vm(const struct tithe_snapshot *s, uint32_t id)
{
    uint32_t i = vm_index(s, id);
    return i < s->vm_count ? &s->vm[i] : NULL;
}

static uint8_t judge(const struct tithe_snapshot *s, const struct tithe_action *a, bool seen[TITHE_VMS_MAX])
{
    if (a->verb != TITHE_VERB_BALLOON) return TITHE_NO_SUCH_VERB;
    uint32_t i = vm_index(s, a->vm);
    if (i == s->vm_count || s->vm[i].state == TITHE_VM_STOPPED) return TITHE_NO_SUCH_VM;
    if (seen[i]) return TITHE_TWICE;
    seen[i] = true;
    if (s->vm[i].held) return TITHE_HELD;
    if (a->pages[0] < s->vm[i].min_pages) return TITHE_BELOW_MIN;
    if (a->pages[0] > s->vm[i].max_pages) return TITHE_ABOVE_MAX;
    return TITHE_OK;
}

uint32_t rules_judge(const struct tithe_snapshot *s, const struct tithe_action *actions, uint64_t count,
                     struct tithe_plan_result *result)
{
    bool seen[TITHE_VMS_MAX] = {false};
    memset(result, 0, sizeof *result);
    if (count > TITHE_PLAN_MAX) {
        result->refused = (uint32_t)(count > UINT32_MAX ? UINT32_MAX : count);
        memset(result->why, TITHE_TOO_LONG, sizeof result->why);
        return result->refused;
    }
    for (uint32_t i = 0; i < count; i++) {
        result->why[i] = judge(s, &actions[i], seen);
        if (result->why[i] == TITHE_OK) continue;
        if (result->refused++ == 0) result->first = i;
    }
    return result->refused;
}
