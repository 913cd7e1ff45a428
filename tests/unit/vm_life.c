/* SPDX-License-Identifier: MIT
 *
 * Pause and what comes meanwhile; what a vCPU is woken, started and stopped by.
 */
#include "host_env.h"

#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/solo.h"
#include "vm/stats.h"
#include "vm/vm_boot.h"
#include "vm/paging.h"
#include "vm/vm_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm_cpus.h"
#include "vm_tests.h"

#define RFLAGS_IF (1u << 9)

static bool interrupt, can_inject, nmi_waits;
static unsigned resets, pokes, started_at, injected, nmis;
static struct vm vm;
static struct vcpu vcpu, second;

static void reset_sipi(struct vcpu *v, uint8_t vector)
{
    assert_ptr_equal(v, &second);
    started_at = vector;
}

static bool may_inject(struct vcpu *v)
{
    (void)v;
    return can_inject;
}

static void inject(struct vcpu *v, uint8_t vector)
{
    (void)v;
    injected = vector;
}

static bool nmi_waiting(const struct vcpu *v)
{
    (void)v;
    return nmi_waits;
}

static void inject_nmi(struct vcpu *v)
{
    (void)v;
    nmis++;
}

static const struct vendor fake_vendor = {.vcpu_reset_sipi = reset_sipi,
                                          .can_inject = may_inject,
                                          .inject_interrupt = inject,
                                          .inject_nmi = inject_nmi,
                                          .nmi_waiting = nmi_waiting};
const struct vendor *vendor = &fake_vendor;

/* ---- the guest's interrupt controllers ---- */

void lapic_poll(struct lapic *l, uint64_t now_ns)
{
    (void)l, (void)now_ns;
}

int lapic_pending(const struct lapic *l)
{
    (void)l;
    return interrupt ? 0x31 : -1;
}

void lapic_take(struct lapic *l, uint8_t vector)
{
    (void)l, (void)vector;
    interrupt = false;
}

void lapic_reset(struct lapic *l)
{
    (void)l;
    resets++;
}

int platform_pic_pending(struct platform *p)
{
    (void)p;
    return -1;
}

uint8_t platform_pic_take(struct platform *p)
{
    (void)p;
    return 0;
}

/* ---- what else is asked of the machine ---- */

void guest_msr_init(struct vcpu *v)
{
    (void)v;
}

void vm_poll(struct timer *timer, uint64_t now_ns)
{
    (void)timer, (void)now_ns;
}

void run_poke(uint32_t cpu)
{
    assert_int_equal(cpu, 0);
    pokes++;
}

void event_of_guest(struct vm *of, enum tithe_event_kind kind, uint64_t value)
{
    (void)of, (void)kind, (void)value;
}

void solo_stopped(const struct vm *stopped)
{
    (void)stopped;
}

void stats_vm_gone(const struct vm *of)
{
    (void)of;
}

void vm_free_vcpus(struct vm *of)
{
    of->vcpu_count = 0;
}

void vm_free(struct vm *of)
{
    (void)of;
}

static uint64_t wanted_out, wanted_in;

void paging_want_out(struct vm *of, uint64_t pages, enum swap_pick pick)
{
    assert_true(of == &vm && pick == SWAP_COLD);
    wanted_out = pages;
}
void paging_want_in(struct vm *of, uint64_t pages)
{
    assert_true(of == &vm);
    wanted_in = pages;
}
void vm_remap(struct vm *of, uint64_t pages, uint64_t least_copies)
{
    (void)of, (void)pages, (void)least_copies;
}
void vm_vacate(struct vm *of, uint64_t pages, bool cold)
{
    (void)of, (void)pages, (void)cold;
}
bool vm_move_step(struct vm *of)
{
    (void)of;
    return false;
}
void vm_disk_close(struct vm *of)
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

/* Who would run now; then nobody waits. */
static struct sched_entity *next(void)
{
    struct sched_entity *e = sched_next(NULL);
    if (e != NULL) {
        sched_put(e, false);
    }
    return e;
}

static void make_vcpu(struct vcpu *v, uint32_t index, enum vcpu_state state)
{
    *v = (struct vcpu){.vm = &vm, .index = index, .state = state, .regs.rflags = RFLAGS_IF};
    v->lapic.timer_deadline_ns = NO_DEADLINE;
    sched_init(&v->sched, 0, SCHED_WEIGHT, SCHED_VCPU);
    timer_init(&v->timer, vcpu_on_timer);
    vm.vcpu[vm.vcpu_count++] = v;
}

/* A VM that runs, with one vCPU. */
static void start(enum vcpu_state state)
{
    cpus_reset(2);
    while (next() != NULL) {
    }
    vm = (struct vm){.id = 1, .slot = 1, .state = TITHE_VM_RUNNING, .p2m.lock = LOCK_INIT(LOCK_P2M)};
    vm.platform.lock = (struct lock)LOCK_INIT(LOCK_DEVICES);
    timer_init(&vm.poll_timer, vm_poll);
    make_vcpu(&vcpu, 0, state);
    interrupt = can_inject = nmi_waits = false;
    resets = pokes = started_at = injected = nmis = 0;
}

static void halted(void)
{
    start(VCPU_HALTED);
}

static void under_lock(void (*act)(struct vcpu *v), struct vcpu *v)
{
    lock_acquire(&vm.platform.lock);
    act(v);
    lock_release(&vm.platform.lock);
}

static void sipi_0x9a(struct vcpu *v)
{
    vcpu_sipi(v, 0x9a);
}

static void an_interrupt_wakes_after_the_pause(void **state)
{
    (void)state;
    halted();
    assert_true(vm_pause(&vm));
    interrupt = true;
    under_lock(vcpu_kick, &vcpu);
    assert_null(next()); /* not while it is paused */
    assert_true(vm_unpause(&vm));
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    assert_ptr_equal(next(), &vcpu.sched);
}

static void a_pause_alone_wakes_nobody(void **state)
{
    (void)state;
    halted();
    assert_true(vm_pause(&vm));
    assert_false(vm_pause(&vm));
    assert_true(vm_unpause(&vm));
    assert_int_equal(vcpu.state, VCPU_HALTED);
    assert_null(next());
    vcpu.state = VCPU_WAIT_MEMORY;
    interrupt = true;
    assert_true(vm_pause(&vm));
    assert_true(vm_unpause(&vm));
    assert_int_equal(vcpu.state, VCPU_WAIT_MEMORY);
}

static void a_suspended_one_sleeps_on_and_is_then_what_it_was(void **state)
{
    (void)state;
    halted();
    assert_false(vm_fits_in_swap(&vm)); /* there is none */
    assert_false(vm_resume(&vm, 0));
    vm.p2m.present_pages = 0;
    vm_suspend(&vm);
    assert_int_equal(vm.state, TITHE_VM_SUSPENDED);
    assert_false(vm_pause(&vm));
    assert_false(vm_unpause(&vm));
    interrupt = true;
    under_lock(vcpu_kick, &vcpu);
    assert_null(next());
    vm_suspend(&vm); /* again */
    assert_true(vm_resume(&vm, 77));
    assert_int_equal(wanted_in, 77);
    assert_int_equal(wanted_out, 0);
    assert_int_equal(vm.state, TITHE_VM_RUNNING);
    assert_ptr_equal(next(), &vcpu.sched);
    assert_true(vm_pause(&vm));
    vm_suspend(&vm);
    assert_true(vm_resume(&vm, 0));
    assert_int_equal(vm.state, TITHE_VM_PAUSED);
    assert_null(next());
    vm_suspend(&vm);
    vm_stop(&vm, TITHE_STOP_POWEROFF, 0);
    assert_false(vm_resume(&vm, 0));
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

/* ---- sleep and wake ---- */

static void a_kick_without_an_interrupt_wakes_nobody(void **state)
{
    (void)state;
    halted();
    under_lock(vcpu_kick, &vcpu);
    assert_int_equal(vcpu.state, VCPU_HALTED);
    interrupt = true;
    vcpu.regs.rflags = 0;
    under_lock(vcpu_kick, &vcpu);
    assert_int_equal(vcpu.state, VCPU_HALTED);
    assert_null(next());
    under_lock(vcpu_nmi, &vcpu);
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    assert_ptr_equal(next(), &vcpu.sched);
    vcpu_prepare(&vcpu);
    assert_int_equal(nmis, 1);
    assert_int_equal(vcpu.requests, 0);
}

static void halting_looks_once_more(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    interrupt = true;
    vcpu_halt(&vcpu);
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    can_inject = true;
    vcpu_prepare(&vcpu);
    assert_int_equal(injected, 0x31);
    under_lock(vcpu_nmi, &vcpu);
    vcpu_halt(&vcpu);
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    vcpu_prepare(&vcpu);
    nmi_waits = true; /* it could not be taken where it came */
    vcpu_halt(&vcpu);
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    nmi_waits = false;
    vcpu_halt(&vcpu);
    assert_int_equal(vcpu.state, VCPU_HALTED);
}

static void one_that_runs_elsewhere_is_kicked_once(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    cpus_be(1);
    under_lock(vcpu_kick, &vcpu);
    assert_int_equal(cpus_kicks(0), 0); /* it runs nowhere */
    vcpu_prepare(&vcpu);
    cpus_be(0);
    sched_wake(&vcpu.sched);
    assert_ptr_equal(sched_next(NULL), &vcpu.sched);
    (void)cpus_kicks(0);
    cpus_be(1);
    under_lock(vcpu_kick, &vcpu);
    under_lock(vcpu_kick, &vcpu);
    assert_int_equal(cpus_kicks(0), 1);
    vcpu_prepare(&vcpu);
    under_lock(vcpu_kick, &vcpu);
    assert_int_equal(cpus_kicks(0), 1);
    cpus_be(0);
    sched_put(&vcpu.sched, false);
}

static void a_sipi_starts_who_waits_for_it(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    make_vcpu(&second, 1, VCPU_STOPPED);
    under_lock(vcpu_init, &second);
    assert_null(next());
    under_lock(sipi_0x9a, &second);
    assert_int_equal(second.state, VCPU_RUNNABLE);
    assert_ptr_equal(next(), &second.sched);
    vcpu_prepare(&second);
    assert_int_equal(started_at, 0x9a);
    /* The customary second one means nothing. */
    started_at = 0;
    under_lock(sipi_0x9a, &second);
    assert_int_equal(second.requests, 0);
}

static void init_stops_it_wherever_it_is(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    make_vcpu(&second, 1, VCPU_HALTED);
    second.regs.rflags = 0;
    under_lock(vcpu_init, &second);
    assert_ptr_equal(next(), &second.sched);
    /* Before it has come to act on INIT: the SIPI is kept, and an NMI is not. */
    under_lock(sipi_0x9a, &second);
    under_lock(vcpu_nmi, &second);
    vcpu_prepare(&second);
    assert_int_equal(started_at, 0x9a);
    assert_int_equal(resets, 1);
    assert_int_equal(nmis, 0);
    assert_int_equal(second.state, VCPU_RUNNABLE);
    /* A SIPI that was not acted on before the next INIT is gone. */
    under_lock(vcpu_init, &second);
    under_lock(sipi_0x9a, &second);
    under_lock(vcpu_init, &second);
    vcpu_prepare(&second);
    assert_int_equal(second.state, VCPU_STOPPED);
}

static void init_of_the_first_is_a_reboot(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    under_lock(vcpu_init, &vcpu);
    assert_int_equal(vm.pending, VM_PENDING_REBOOT);
    assert_int_equal(pokes, 1);
    assert_false(vm_set_empty(&vms_pending));
}

static void the_first_reason_to_stop_counts(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    vm_ask(&vm, VM_PENDING_REBOOT);
    lock_acquire(&vm.platform.lock);
    vm_ask_stop(&vm, TITHE_STOP_EXIT, 3);
    vm_ask_stop(&vm, TITHE_STOP_POWEROFF, 0);
    lock_release(&vm.platform.lock);
    vm_do_pending(&vm);
    assert_int_equal(vm.state, TITHE_VM_STOPPED);
    assert_int_equal(vm.stop_reason, TITHE_STOP_EXIT);
    assert_int_equal(vm.exit_code, 3);
}

static void memory_wakes_only_who_waits_for_it(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    vcpu_wait(&vcpu, VCPU_WAIT_MEMORY, swap_completions());
    assert_false(vm_set_empty(&vms_without_memory));
    under_lock(vcpu_kick, &vcpu);
    assert_int_equal(vcpu.state, VCPU_WAIT_MEMORY);
    vcpu_memory_came(&vcpu);
    assert_int_equal(vcpu.state, VCPU_RUNNABLE);
    assert_ptr_equal(next(), &vcpu.sched);
    halted();
    vcpu_memory_came(&vcpu);
    assert_int_equal(vcpu.state, VCPU_HALTED);
}

static void shares_are_divided_among_vcpus(void **state)
{
    (void)state;
    start(VCPU_RUNNABLE);
    make_vcpu(&second, 1, VCPU_STOPPED);
    vm.config.vcpus = 2;
    vm_set_cpu_shares(&vm, CPU_SHARES_USUAL);
    assert_int_equal(vcpu.sched.weight, SCHED_WEIGHT / 2);
    assert_int_equal(second.sched.weight, SCHED_WEIGHT / 2);
    vm.config.vcpus = VCPUS_MAX;
    for (uint64_t shares = 1; shares <= SHARES_MAX; shares *= 10) {
        const double exact = (double)shares / CPU_SHARES_USUAL * SCHED_WEIGHT / VCPUS_MAX;
        vm.cpu_shares = shares;
        assert_true((double)vm_vcpu_weight(&vm) <= exact);
        assert_true((double)vm_vcpu_weight(&vm) > exact * 0.99);
    }
}

const struct CMUnitTest life_tests[] = {
    cmocka_unit_test(a_kick_without_an_interrupt_wakes_nobody),
    cmocka_unit_test(halting_looks_once_more),
    cmocka_unit_test(one_that_runs_elsewhere_is_kicked_once),
    cmocka_unit_test(a_sipi_starts_who_waits_for_it),
    cmocka_unit_test(init_stops_it_wherever_it_is),
    cmocka_unit_test(init_of_the_first_is_a_reboot),
    cmocka_unit_test(the_first_reason_to_stop_counts),
    cmocka_unit_test(memory_wakes_only_who_waits_for_it),
    cmocka_unit_test(shares_are_divided_among_vcpus),
    cmocka_unit_test(an_interrupt_wakes_after_the_pause),
    cmocka_unit_test(a_pause_alone_wakes_nobody),
    cmocka_unit_test(a_suspended_one_sleeps_on_and_is_then_what_it_was),
    cmocka_unit_test(who_has_ended_neither_pauses_nor_goes_on),
};
const size_t life_test_count = sizeof life_tests / sizeof life_tests[0];
