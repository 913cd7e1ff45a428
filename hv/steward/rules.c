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

static uint8_t judge_balloon(const struct tithe_vm_snapshot *vm, uint64_t pages)
{
    if (vm->held) return TITHE_HELD;
    if (pages < vm->min_pages) return TITHE_BELOW_MIN;
    return pages > vm->max_pages ? TITHE_ABOVE_MAX : TITHE_OK;
}

static const struct {
    uint64_t most, ways; /* pages; values of `how` */
} verbs[] = {
    [TITHE_VERB_BALLOON] = {UINT64_MAX, 1},
    [TITHE_VERB_SAMPLE] = {TITHE_SAMPLE_MAX, TITHE_SAMPLE_UNMAP + 1},
    [TITHE_VERB_POPULATE] = {UINT64_MAX, 1},
    [TITHE_VERB_SCAN] = {UINT64_MAX, TITHE_SCAN_ORDERS},
    [TITHE_VERB_SHARE_GROUP] = {0, TITHE_SHARE_GROUPS_MAX + 1},
    [TITHE_VERB_SWAP_OUT] = {UINT64_MAX, TITHE_PICK_COLD + 1},
    [TITHE_VERB_PREFETCH] = {UINT64_MAX, 1},
    [TITHE_VERB_COLOUR] = {UINT64_MAX, 1ull << TITHE_COLOURS_MAX},
    [TITHE_VERB_REMAP] = {UINT64_MAX, UINT64_MAX},
    [TITHE_VERB_VACATE] = {UINT64_MAX, TITHE_VACATE_COLD + 1},
    [TITHE_VERB_COMPRESS] = {UINT64_MAX, TITHE_COMPRESS_PERCENT_MAX + 1},
    [TITHE_VERB_SUSPEND] = {0, 1},
    [TITHE_VERB_RESUME] = {UINT64_MAX, 1},
    [TITHE_VERB_DOUBLE_PAGING] = {0, 2},
};

static bool fits_in_swap(const struct tithe_snapshot *s, const struct tithe_vm_snapshot *vm)
{
    uint64_t all = vm->consumed_pages - vm->store_pages + vm->compressed_pages + vm->swapped_pages;
    uint64_t more = all > vm->swap_reserved_pages ? all - vm->swap_reserved_pages : 0;
    return s->swap_pages != 0 && s->swap_reserved_pages + more <= s->swap_pages;
}

#define VERBS (sizeof verbs / sizeof *verbs)

/* seen: the verbs that earlier actions had for each VM, a bit each */
static uint8_t judge(const struct tithe_snapshot *s, const struct tithe_action *a,
                     uint32_t seen[TITHE_VMS_MAX])
{
    if (a->verb >= VERBS || verbs[a->verb].ways == 0) return TITHE_NO_SUCH_VERB;
    uint32_t i = vm_index(s, a->vm);
    if (i == s->vm_count || s->vm[i].state == TITHE_VM_STOPPED) return TITHE_NO_SUCH_VM;
    if ((seen[i] & 1u << a->verb) != 0) return TITHE_TWICE;
    seen[i] |= 1u << a->verb;
    if (a->how >= verbs[a->verb].ways) return TITHE_NO_SUCH_WAY;
    if (a->pages > verbs[a->verb].most) return TITHE_TOO_MANY;
    if (s->swap_pages == 0 && (a->verb == TITHE_VERB_PREFETCH ||
                               (a->verb == TITHE_VERB_SWAP_OUT && s->vm[i].store_limit_pages == 0)))
        return TITHE_NO_SWAP;
    if (a->verb == TITHE_VERB_SUSPEND && !fits_in_swap(s, &s->vm[i])) return TITHE_NO_SWAP;
    if (a->verb == TITHE_VERB_COLOUR && a->how >> s->colours != 0) return TITHE_NO_SUCH_WAY;
    if ((a->verb == TITHE_VERB_POPULATE || a->verb == TITHE_VERB_SCAN || a->verb == TITHE_VERB_COLOUR ||
         a->verb == TITHE_VERB_COMPRESS) &&
        a->pages > s->vm[i].size_pages)
        return TITHE_TOO_MANY;
    return a->verb == TITHE_VERB_BALLOON ? judge_balloon(&s->vm[i], a->pages) : TITHE_OK;
}

uint32_t rules_judge(const struct tithe_snapshot *s, const struct tithe_action *actions, uint64_t count,
                     struct tithe_plan_result *result)
{
    uint32_t seen[TITHE_VMS_MAX] = {0};
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
