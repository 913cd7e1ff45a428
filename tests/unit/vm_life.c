/* SPDX-License-Identifier: MIT
 *
 * Pause and what comes meanwhile.
 */
#include "host_env.h"

#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/solo.h"
#include "vm/vm_boot.h"
#include "vm/vm_table.h"

#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "vm_tests.h"

#define RFLAGS_IF (1u << 9)

const struct vendor *vendor;
static bool interrupt;
static struct vm vm;
static struct vcpu vcpu;

bool vcpu_interrupt_pending(struct vcpu *v)
{
    (void)v;
    return interrupt;
}

void event_of_guest(struct vm *of, enum tithe_event_kind kind, uint64_t value)
{
    (void)of, (void)kind, (void)value;
}

void solo_stopped(const struct vm *stopped)
{
    (void)stopped;
}

void vm_free_vcpus(struct vm *of)
{
    of->vcpu_count = 0;
}

void vm_free(struct vm *of)
{
    (void)of;
}

void vm_table_drop(struct vm *of)
{
    (void)of;
}

int vm_load(struct vm *of, char *reason)
{
    (void)of, (void)reason;
    return 0;
}

void platform_reset(struct platform *p, uint64_t now_ns)
{
    (void)p, (void)now_ns;
}

void platform_balloon_target(struct platform *p, uint64_t pages)
{
    (void)p, (void)pages;
}

static void halted(void)
{
    while (sched_pick() != NULL) {
    }
    vm = (struct vm){.id = 1, .state = TITHE_VM_RUNNING, .vcpu_count = 1, .vcpu = {&vcpu}};
    vcpu = (struct vcpu){.vm = &vm, .state = VCPU_HALTED, .regs.rflags = RFLAGS_IF};
    sched_init(&vcpu.sched, 0, SCHED_WEIGHT, false);
    interrupt = false;
}

static void an_interrupt_wakes_after_the_pause(void **state)
{
    (void)state;
    halted();
    assert_true(vm_pause(&vm));
    interrupt = true;
    vcpu_kick(&vcpu);
    assert_null(sched_pick()); /* not while it is paused */
    assert_true(vm_unpause(&vm));
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    assert_ptr_equal(sched_pick(), &vcpu.sched);
}

static void a_pause_alone_wakes_nobody(void **state)
{
    (void)state;
    halted();
    assert_true(vm_pause(&vm));
    assert_false(vm_pause(&vm));
    assert_true(vm_unpause(&vm));
    assert_int_equal(vcpu.state, VCPU_HALTED);
    assert_null(sched_pick());
    vcpu.state = VCPU_WAIT_MEMORY;
    interrupt = true;
    assert_true(vm_pause(&vm));
    assert_true(vm_unpause(&vm));
    assert_int_equal(vcpu.state, VCPU_WAIT_MEMORY);
}

static void who_has_ended_neither_pauses_nor_goes_on(void **state)
{
    (void)state;
    halted();
    vm_stop(&vm, TITHE_STOP_POWEROFF, 0);
    assert_false(vm_pause(&vm));
    assert_false(vm_unpause(&vm));
    vm_stop(&vm, TITHE_STOP_CRASH, 3);
    assert_int_equal(vm.stop_reason, TITHE_STOP_POWEROFF);
    assert_int_equal(vm.exit_code, 0);
}

const struct CMUnitTest life_tests[] = {
    cmocka_unit_test(an_interrupt_wakes_after_the_pause),
    cmocka_unit_test(a_pause_alone_wakes_nobody),
    cmocka_unit_test(who_has_ended_neither_pauses_nor_goes_on),
};
const size_t life_test_count = sizeof life_tests / sizeof life_tests[0];
