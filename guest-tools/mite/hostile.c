// SPDX-License-Identifier: MIT
#include "hostile.h"

#include "apic.h"
#include "console.h"
#include "pages.h"
#include "trap.h"

static const struct hostile_act *const groups[] = {hostile_cpu_acts, hostile_memory_acts, hostile_io_acts,
                                                   hostile_mode_acts};

static uint32_t tried_count;
static uint32_t faulted_count;
static uint32_t vectors;

bool attempt(void (*operation)(void *argument), void *argument)
{
    struct trap_record caught;
    tried_count++;
    if (guarded(operation, argument, &caught)) return true;
    faulted_count++;
    vectors |= 1U << caught.vector;
    return false;
}

uint32_t hostile_hole(void)
{
    uint32_t end = page_address(pages_end());
    return end < 0xC8000000U ? 0xC8000000U : end + 0x400000U;
}

uint32_t hostile_scratch_page(void)
{
    uint32_t page = pages_lowest_available();
    if (page == PAGE_NONE) return PAGE_NONE;
    page_set_state(page, PAGE_FREE);
    page_mark_used(page);
    return page;
}

static void run_act(const struct hostile_act *act)
{
    tried_count = 0;
    faulted_count = 0;
    vectors = 0;
    uint32_t soft_before = trap_soft_count();
    say("mite: badop %s begin\n", act->name);
    console_drain();
    act->run();
    // Whatever was written to the devices that mite itself needs is put right.
    console_init();
    apic_init(apic_is_x2apic());
    say("mite: badop %s survived tried=%u faulted=%u vectors=0x%x soft=%u\n", act->name, tried_count,
        faulted_count, vectors, trap_soft_count() - soft_before);
}

static bool wanted(const struct hostile_act *act, struct span name)
{
    return span_is(name, act->name) || (span_is(name, "all") && !act->deadly);
}

bool hostile_known(struct span name)
{
    for (uint32_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct hostile_act *act = groups[g]; act->name; act++)
            if (wanted(act, name)) return true;
    return false;
}

void hostile_run(struct span name)
{
    for (uint32_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (const struct hostile_act *act = groups[g]; act->name; act++)
            if (wanted(act, name)) run_act(act);
}
