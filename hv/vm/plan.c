/* SPDX-License-Identifier: MIT */
#include "vm/plan.h"

#include "mem/compress.h"
#include "mem/origin.h"
#include "vm/event.h"
#include "vm/paging.h"
#include "vm/snapshot.h"
#include "vm/vm.h"
#include "vm/work.h"

static uint64_t applied, refused;

/* ---- verbs: each checks what is its own, and cannot fail once it is applied ---- */

static enum tithe_refusal balloon_check(const struct vm *vm, const struct tithe_action *a)
{
    if (vm->held) {
        return TITHE_HELD;
    }
    if (a->pages < vm->min_pages) {
        return TITHE_BELOW_MIN;
    }
    return a->pages > vm->max_pages ? TITHE_ABOVE_MAX : TITHE_OK;
}

static void balloon(struct vm *vm, const struct tithe_action *a)
{
    if (vm->target_pages != a->pages) {
        vm->target_pages = a->pages;
        vm_apply_target(vm);
    }
}

static enum tithe_refusal none(const struct vm *vm, const struct tithe_action *a)
{
    (void)vm, (void)a;
    return TITHE_OK;
}

static void sample(struct vm *vm, const struct tithe_action *a)
{
    sample_ask(&vm->p2m, a->pages, a->how, snapshot_ns());
    work_post(vm);
}

static enum tithe_refusal size_check(const struct vm *vm, const struct tithe_action *a)
{
    return a->pages > vm->config.size_pages ? TITHE_TOO_MANY : TITHE_OK;
}

static void populate(struct vm *vm, const struct tithe_action *a)
{
    p2m_populate(&vm->p2m, a->pages);
    work_post(vm);
}

_Static_assert(SHARE_ORDERS == (int)TITHE_SCAN_ORDERS && SHARE_GROUPS_MAX == TITHE_SHARE_GROUPS_MAX,
               "a plan's numbers are the core's");

static void scan(struct vm *vm, const struct tithe_action *a)
{
    work_scan(vm, a->pages, (enum share_order)a->how);
    work_post(vm);
}

static void share_group(struct vm *vm, const struct tithe_action *a)
{
    share_set_group(&vm->p2m, (uint8_t)a->how);
}

static enum tithe_refusal swap_there(const struct vm *vm, const struct tithe_action *a)
{
    struct swap_counts c;
    swap_counts(&c);
    const bool store = a->verb == TITHE_VERB_SWAP_OUT && vm->p2m.store.limit != 0;
    return c.slots == 0 && !store ? TITHE_NO_SWAP : TITHE_OK;
}

static void swap_out_pages(struct vm *vm, const struct tithe_action *a)
{
    paging_want_out(vm, a->pages, (enum swap_pick)a->how);
}

static void prefetch(struct vm *vm, const struct tithe_action *a)
{
    paging_want_in(vm, a->pages);
}

_Static_assert(TITHE_COLOURS_MAX == FRAME_COLOURS_MAX, "a plan's numbers are the core's");

static enum tithe_refusal colour_check(const struct vm *vm, const struct tithe_action *a)
{
    return a->how >> frames_colour_count() != 0 ? TITHE_NO_SUCH_WAY : size_check(vm, a);
}

static void colour(struct vm *vm, const struct tithe_action *a)
{
    p2m_set_colours(&vm->p2m, (uint32_t)a->how, a->pages);
    work_post(vm);
}

static void remap(struct vm *vm, const struct tithe_action *a)
{
    vm_remap(vm, a->pages, a->how);
    work_post(vm);
}

static void vacate(struct vm *vm, const struct tithe_action *a)
{
    vm_vacate(vm, a->pages, a->how == TITHE_VACATE_COLD);
    work_post(vm);
}

_Static_assert(COMPRESS_PERCENT_MAX == TITHE_COMPRESS_PERCENT_MAX, "a plan's number is the core's");

static void compress(struct vm *vm, const struct tithe_action *a)
{
    compress_set_limit(&vm->p2m, a->pages, (uint32_t)a->how);
    paging_want_evicted();
}

static enum tithe_refusal suspend_check(const struct vm *vm, const struct tithe_action *a)
{
    (void)a;
    return vm_fits_in_swap(vm) ? TITHE_OK : TITHE_NO_SWAP;
}

static void suspend(struct vm *vm, const struct tithe_action *a)
{
    (void)a;
    vm_suspend(vm);
}

static void resume(struct vm *vm, const struct tithe_action *a)
{
    (void)vm_resume(vm, a->pages);
}

static void double_paging(struct vm *vm, const struct tithe_action *a)
{
    origin_avoid(&vm->p2m, a->how != 0);
}

static const struct verb {
    uint64_t most; /* pages */
    uint64_t ways; /* that `how` chooses from */
    enum tithe_refusal (*check)(const struct vm *vm, const struct tithe_action *a);
    void (*apply)(struct vm *vm, const struct tithe_action *a);
} verbs[] = {
    [TITHE_VERB_BALLOON] = {UINT64_MAX, 1, balloon_check, balloon},
    [TITHE_VERB_SAMPLE] = {TITHE_SAMPLE_MAX, TITHE_SAMPLE_UNMAP + 1, none, sample},
    [TITHE_VERB_POPULATE] = {UINT64_MAX, 1, size_check, populate},
    [TITHE_VERB_SCAN] = {UINT64_MAX, TITHE_SCAN_ORDERS, size_check, scan},
    [TITHE_VERB_SHARE_GROUP] = {0, TITHE_SHARE_GROUPS_MAX + 1, none, share_group},
    [TITHE_VERB_SWAP_OUT] = {UINT64_MAX, SWAP_PICKS, swap_there, swap_out_pages},
    [TITHE_VERB_PREFETCH] = {UINT64_MAX, 1, swap_there, prefetch},
    [TITHE_VERB_COLOUR] = {UINT64_MAX, 1ull << TITHE_COLOURS_MAX, colour_check, colour},
    [TITHE_VERB_REMAP] = {UINT64_MAX, UINT64_MAX, none, remap},
    [TITHE_VERB_VACATE] = {UINT64_MAX, TITHE_VACATE_COLD + 1, none, vacate},
    [TITHE_VERB_COMPRESS] = {UINT64_MAX, COMPRESS_PERCENT_MAX + 1, size_check, compress},
    [TITHE_VERB_SUSPEND] = {0, 1, suspend_check, suspend},
    [TITHE_VERB_RESUME] = {UINT64_MAX, 1, none, resume},
    [TITHE_VERB_DOUBLE_PAGING] = {0, 2, none, double_paging},
};

_Static_assert(ARRAY_LEN(verbs) <= 32, "a bit for each");

/* `seen`: the verbs that earlier actions had for the VM in each place of the table, a bit each. */
static enum tithe_refusal check(const struct tithe_action *a, uint32_t seen[TITHE_VMS_MAX])
{
    const struct vm *vm = vm_find(a->vm);
    if (a->verb >= ARRAY_LEN(verbs) || verbs[a->verb].apply == NULL) {
        return TITHE_NO_SUCH_VERB;
    }
    if (vm == NULL || vm->state == TITHE_VM_STOPPED) {
        return TITHE_NO_SUCH_VM;
    }
    if (seen[vm->slot - 1] & 1u << a->verb) {
        return TITHE_TWICE;
    }
    seen[vm->slot - 1] |= 1u << a->verb;
    if (a->how >= verbs[a->verb].ways) {
        return TITHE_NO_SUCH_WAY;
    }
    return a->pages > verbs[a->verb].most ? TITHE_TOO_MANY : verbs[a->verb].check(vm, a);
}

static const char *const refusals[] = {
    [TITHE_OK] = "ok",
    [TITHE_NO_SUCH_VERB] = "no such verb",
    [TITHE_NO_SUCH_VM] = "no such VM, or it has ended",
    [TITHE_BELOW_MIN] = "below the VM's min",
    [TITHE_ABOVE_MAX] = "above the VM's max",
    [TITHE_HELD] = "the operator holds this VM's target",
    [TITHE_TWICE] = "a second action of this verb for this VM",
    [TITHE_TOO_LONG] = "too many actions",
    [TITHE_TOO_MANY] = "more pages than the verb takes in one action",
    [TITHE_NO_SUCH_WAY] = "no such method, order, group, colour, percentage or choice",
    [TITHE_NO_SWAP] =
        "the machine has no swap partition, or too little of it is free, or the VM has no compression",
};

bool plan_apply(const struct tithe_action *actions, uint64_t count, struct tithe_plan_result *result)
{
    uint32_t seen[TITHE_VMS_MAX] = {0};
    *result = (struct tithe_plan_result){0};
    if (count > TITHE_PLAN_MAX) {
        result->refused = 1;
        result->why[0] = TITHE_TOO_LONG;
    }
    for (uint64_t i = 0; i < count && count <= TITHE_PLAN_MAX; i++) {
        result->why[i] = (uint8_t)check(&actions[i], seen);
        if (result->why[i] != TITHE_OK && result->refused++ == 0) {
            result->first = (uint32_t)i;
        }
    }
    if (result->refused > 0) {
        const uint32_t first = result->first;
        refused++;
        event_emit(TITHE_EVENT_PLAN_REFUSED, count <= TITHE_PLAN_MAX ? actions[first].vm : 0, first,
                   result->refused, "action %u of %llu: %s", first + 1, (unsigned long long)count,
                   refusals[result->why[first]]);
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        verbs[actions[i].verb].apply(vm_find(actions[i].vm), &actions[i]);
    }
    applied++;
    return true;
}

uint64_t plans_applied(void)
{
    return applied;
}
uint64_t plans_refused(void)
{
    return refused;
}
