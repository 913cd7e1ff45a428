/* SPDX-License-Identifier: MIT */
#include "vm/run.h"

#include "boot/boot_info.h"
#include "drv/disk.h"
#include "mem/frame.h"
#include "steward/core/steward.h"
#include "virt/vendor.h"
#include "vm/exits.h"
#include "vm/mgmt.h"
#include "vm/paging.h"
#include "vm/vm_table.h"
#include "vm/work.h"
#include "vm/world.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/irq.h"
#include "x86/leave.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/time.h"

static uint64_t slice_ns = 2000000;

/* Interrupts are held off while the core handles an exit. One that waits then ends the guest's turn at once
 * (SDM 3C 26.2), so that many exits in a row need no limit; but Bochs 2.7 forgets it while the guest holds
 * interrupts off, too. */
#define TURN_EXITS 256u

/* When nobody else wants the CPU a turn may last, but its time is counted when it ends, and people watch. */
#define TURN_NS 100000000u

/* How long a shutdown waits for the steward's answer to be on the line. */
#define GOODBYE_NS 5000000000ull

#define SLICE_US_MIN 100u
#define SLICE_US_MAX 1000000u

/* Any host interrupt is a reason to look around: the timer, input for the steward, another CPU's kick. */
static void on_timer(void)
{
    this_cpu()->timer_deadline_ns = NO_DEADLINE; /* it may have come early: then it is armed again */
    this_cpu()->resched = true;
}

void run_init(void)
{
    const uint64_t slice_us = boot_option_u64("slice_us", slice_ns / 1000);
    slice_ns = 1000 * (slice_us < SLICE_US_MIN   ? SLICE_US_MIN
                       : slice_us > SLICE_US_MAX ? SLICE_US_MAX
                                                 : slice_us);
    irq_register(IRQ_VECTOR_TIMER, on_timer);
}

uint64_t run_slice_ns(void)
{
    return slice_ns;
}

void run_poke(uint32_t cpu)
{
    if (cpu == cpu_index()) {
        this_cpu()->resched = true;
    } else {
        smp_kick_later(cpu);
    }
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- turns ---- */

static struct vcpu *vcpu_of(struct sched_entity *e)
{
    return CONTAINER_OF(e, struct vcpu, sched);
}

static bool blocked(const struct vcpu *v)
{
    return __atomic_load_n(&v->state, __ATOMIC_RELAXED) != VCPU_RUNNABLE;
}

static bool asked_for(const struct vm *vm)
{
    return __atomic_load_n(&vm->pending, __ATOMIC_RELAXED) != 0;
}

/* May it run now? Otherwise whoever changes that wakes it. */
static bool runnable(struct sched_entity *e)
{
    switch (e->kind) {
    case SCHED_STEWARD: return steward_runnable();
    case SCHED_WORKER: return work_waiting();
    case SCHED_VCPU: break;
    }
    const struct vcpu *v = vcpu_of(e);
    return !blocked(v) && v->vm->state == TITHE_VM_RUNNING && !asked_for(v->vm);
}

static void switch_in(struct sched_entity *e)
{
    if (e->kind == SCHED_VCPU) {
        fpu_switch(NULL, &vcpu_of(e)->fpu);
    }
}

/* From here on any CPU may have it: nothing of it stays in this one. */
static void put(struct sched_entity *e, bool again)
{
    if (e->kind == SCHED_VCPU) {
        vendor->park();
        fpu_switch(&vcpu_of(e)->fpu, NULL);
    }
    sched_put(e, again);
}

/* What was left till no lock is held. */
static void run_errands(struct percpu *cpu)
{
    cpu->errands = false;
    smp_send_kicks();
    if (cpu->timers_ns < cpu->timer_deadline_ns) {
        time_arm(cpu->timers_ns);
    }
}

static bool must_look(const struct vcpu *v)
{
    return v->irq_check || __atomic_load_n(&v->requests, __ATOMIC_RELAXED) != 0;
}

/* Runs a vCPU until it blocks, its VM is asked for, or the CPU is wanted for something else. */
static void vcpu_turn(struct vcpu *v)
{
    struct percpu *cpu = this_cpu();
    struct vm *vm = v->vm;
    unsigned exits_left = TURN_EXITS;
    /* That it is on this CPU is seen by all before its requests are looked at: vm/vcpu.c, request(). */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    do {
        while (must_look(v)) {
            vcpu_prepare(v);
            if (blocked(v)) {
                return;
            }
        }
        if (cpu->errands) {
            run_errands(cpu);
        }
#ifdef TITHE_DEBUG
        const char *fault = vendor->audit(v);
        if (fault != NULL) {
            vm_crash(v, fault);
            return;
        }
#endif
        vendor->run(v);
        exit_handle(v);
    } while (!blocked(v) && !asked_for(vm) && !cpu->resched && --exits_left > 0);
    if (exits_left == 0) {
        cpu_take_interrupts();
    }
}

/* The steward's turns end with their slice. One that seems to have lasted much longer was stopped from outside, as
 * an emulator is whose host is busy, and a policy is not to blame for that. */
#define STEWARD_SLICES_MAX 4

uint64_t run_steward_ns(uint64_t since_ns)
{
    const uint64_t ns = time_now_ns() - since_ns;
    return ns < STEWARD_SLICES_MAX * slice_ns ? ns : STEWARD_SLICES_MAX * slice_ns;
}

/* Till the slice is over, or nothing is left to do. */
static void worker_turn(void)
{
    while (!this_cpu()->resched && work_step()) {
        cpu_take_interrupts();
    }
}

static void turn(struct sched_entity *e, uint64_t from_ns)
{
    struct percpu *cpu = this_cpu();
    uint64_t counted = 0;
    switch (e->kind) {
    case SCHED_VCPU: vcpu_turn(vcpu_of(e)); break;
    case SCHED_WORKER: worker_turn(); break;
    case SCHED_STEWARD:
        steward_turn();
        counted = e->cpu_ns + run_steward_ns(from_ns);
        break;
    }
    const uint64_t ns = time_now_ns() - from_ns;
    sched_charge(e, ns);
    cpu->turns_ns[e->kind] += ns;
    if (e->kind == SCHED_STEWARD) {
        e->cpu_ns = counted; /* its place in the queue is by all of the time */
    }
}

static void idle(uint64_t next_ns)
{
    struct percpu *cpu = this_cpu();
    const uint64_t from = time_now_ns();
    if (cpu->resched || !sched_idle_begin()) {
        return;
    }
    cpu->idle_ns -= from;
    time_arm(next_ns);
    cpu_idle();
    sched_idle_end();
    cpu->idle_ns += time_now_ns();
}

/* In one word, so that it is read whole: while the CPU idles it is less by when that began, and so, but for the sign, negative. */
uint64_t run_idle_ns(uint32_t cpu)
{
    const uint64_t ns = __atomic_load_n(&percpu_of(cpu)->idle_ns, __ATOMIC_RELAXED);
    return (int64_t)ns < 0 ? ns + time_now_ns() : ns;
}

/* ---- between turns ---- */

/* The operator asked for the end, and has been answered; or the steward never comes to rest. */
static bool time_to_leave(uint64_t now_ns)
{
    static uint64_t until_ns;
    if (mgmt_shutdown_status() < 0) {
        return false;
    }
    if (until_ns == 0) {
        until_ns = now_ns + GOODBYE_NS;
    }
    return !steward_runnable() || now_ns >= until_ns;
}

_Noreturn static void leave(void)
{
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        if (vm_at(place) != NULL) {
            vm_destroy(vm_at(place));
        }
    }
    machine_leave((uint8_t)mgmt_shutdown_status());
}

static void do_pending(struct vm *vm)
{
    const uint64_t from = time_now_ns();
    vm_do_pending(vm);
    vm_charge(vm, from);
}

/* Boot CPU: what only it may do, for which none of its vCPUs may be switched in. Returns what is left of `current`. */
static struct sched_entity *keep_house(struct sched_entity *current)
{
    const bool leaving = time_to_leave(time_now_ns());
    if (!leaving && vm_set_empty(&vms_pending)) {
        return current;
    }
    if (current != NULL) {
        put(current, runnable(current));
    }
    if (leaving) {
        leave();
    }
    vm_set_take(&vms_pending, do_pending);
    return NULL;
}

static void memory_came(struct vm *vm)
{
    for (uint32_t i = 0; i < vm->vcpu_count; i++) {
        vcpu_memory_came(vm->vcpu[i]);
    }
}

/* Whoever frees frames, or begins to wait for some, comes by here before it idles; the frames' locks see to it that one of
 * two who do so at once sees the other. */
static void look_after_waiters(void)
{
    struct frame_counts f;
    if (vm_set_empty(&vms_without_memory)) {
        return;
    }
    frames_counts(&f);
    if (f.free <= f.promised + f.reserve) {
        return;
    }
    if (cpu_index() == 0) {
        vm_set_take(&vms_without_memory, memory_came);
    } else {
        run_poke(0);
    }
}

/* Who runs now; it is switched in. NULL: nobody. */
static struct sched_entity *choose(struct sched_entity *current)
{
    if (current != NULL && !runnable(current)) {
        put(current, false);
        current = NULL;
    }
    struct sched_entity *e = sched_next(current);
    if (e == current) {
        return e;
    }
    if (current != NULL) {
        put(current, true);
    }
    switch_in(e);
    return e;
}

_Noreturn void run_forever(void)
{
    struct percpu *cpu = this_cpu();
    struct sched_entity *current = NULL;
    for (;;) {
        uint64_t next = NO_DEADLINE;
        cpu->resched = false;
        smp_send_kicks();
        world_check();
        if (cpu->index == 0) {
            current = keep_house(current);
            const uint64_t now = time_now_ns();
            next = earlier(steward_poll(now), disk_poll(now));
            next = earlier(next, paging_poll(time_now_ns()));
        }
        next = earlier(next, timers_run(time_now_ns()));
        look_after_waiters();
        current = choose(current);
        smp_send_kicks();
        if (current == NULL) {
            idle(next);
        } else if (runnable(current)) {
            const uint64_t now = time_now_ns();
            /* The steward is looked after even when nobody waits: it has a budget. */
            time_arm(earlier(next,
                             now + (sched_waiting() || current->kind == SCHED_STEWARD ? slice_ns : TURN_NS)));
            turn(current, now);
        }
    }
}
