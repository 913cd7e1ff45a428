/* SPDX-License-Identifier: MIT */
#include "vm/run.h"

#include "boot/boot_info.h"
#include "drv/disk.h"
#include "lib/log.h"
#include "mem/frame.h"
#include "steward/core/steward.h"
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/exits.h"
#include "vm/mgmt.h"
#include "vm/vm.h"
#include "x86/fpu.h"
#include "x86/cpu.h"
#include "x86/irq.h"
#include "x86/leave.h"
#include "x86/percpu.h"
#include "x86/time.h"

static uint64_t slice_ns = 2000000;

/* Interrupts are held off while the core handles an exit. One that waits then ends the guest's turn at once
 * (SDM 3C 26.2), so that many exits in a row need no limit; but Bochs 2.7 forgets it while the guest holds
 * interrupts off, too. */
#define TURN_EXITS 256u

/* How long a shutdown waits for the steward's answer to be on the line. */
#define GOODBYE_NS 5000000000ull

#define SLICE_US_MIN 100u
#define SLICE_US_MAX 1000000u

/* Any host interrupt is a reason to look around: the timer, input for the steward. */
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

/* ---- the FPU's registers ---- */

void fpu_claim(struct fpu_state *state)
{
    struct percpu *cpu = this_cpu();
    if (cpu->fpu_owner != state) {
        fpu_switch(cpu->fpu_owner, state);
        cpu->fpu_owner = state;
    }
}

void fpu_disown(struct fpu_state *state)
{
    struct percpu *cpu = this_cpu();
    if (cpu->fpu_owner == state) {
        cpu->fpu_owner = NULL;
    }
}

/* ---- interrupts into the guest ---- */

/* Under the device lock. */
static bool pending(struct vcpu *v)
{
    lapic_poll(&v->lapic, time_now_ns());
    return lapic_pending(&v->lapic) >= 0 || (v->index == 0 && platform_pic_pending(&v->vm->platform) >= 0);
}

bool vcpu_interrupt_pending(struct vcpu *v)
{
    struct platform *p = &v->vm->platform;
    lock_acquire(&p->lock);
    const bool yes = pending(v);
    lock_release(&p->lock);
    return yes;
}

/* Takes the most urgent vector from LAPIC or 8259. */
static uint8_t take(struct vcpu *v)
{
    const int vector = lapic_pending(&v->lapic);
    if (vector < 0) {
        return platform_pic_take(&v->vm->platform);
    }
    lapic_take(&v->lapic, (uint8_t)vector);
    return (uint8_t)vector;
}

static void deliver(struct vcpu *v)
{
    struct platform *p = &v->vm->platform;
    v->irq_check = false;
    v->window_wanted = false;
    lock_acquire(&p->lock);
    if (pending(v)) {
        if (vendor->can_inject(v)) {
            vendor->inject_interrupt(v, take(v));
            v->window_wanted = pending(v); /* another is behind it */
        } else {
            v->window_wanted = true;
        }
    }
    lock_release(&p->lock);
}

/* ---- time ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool frames_for_guests(void)
{
    struct frame_counts f;
    frames_counts(&f);
    return f.free > f.promised + f.reserve;
}

/* What the core does for a VM between its turns is the VM's all the same: else a guest that reboots for ever, or keeps
 * its devices busy, would have the CPU for nothing. */
static void charge_vm(struct vm *vm, uint64_t since_ns)
{
    if (vm->vcpu_count > 0) {
        sched_charge(&vm->vcpu[0]->sched, time_now_ns() - since_ns);
    }
}

static void poll_devices(struct vm *vm)
{
    const uint64_t from = time_now_ns();
    lock_acquire(&vm->platform.lock);
    vm->poll_ns = platform_poll(&vm->platform, from);
    if (vm->platform.balloon_transport.pending != 0) {
        /* It goes on after a slice: at once would cut every other turn to nothing. */
        vm->poll_ns = earlier(vm->platform.pit.next_ns, from + slice_ns);
    }
    lock_release(&vm->platform.lock);
    charge_vm(vm, from);
}

/* Lets everything whose time has come happen, and returns when to look next. */
static uint64_t run_timers(uint64_t now_ns)
{
    uint64_t next = earlier(steward_poll(now_ns), disk_poll(now_ns));
    for (size_t place = 0; place < TITHE_VMS_MAX; place++) {
        struct vm *vm = vm_at(place);
        if (vm == NULL || vm->state != TITHE_VM_RUNNING) {
            continue;
        }
        if (vm->poll_ns <= now_ns) {
            poll_devices(vm);
        }
        next = earlier(next, vm->poll_ns);
        for (uint32_t i = 0; i < vm->vcpu_count; i++) {
            struct vcpu *v = vm->vcpu[i];
            if (v->lapic.timer_deadline_ns <= now_ns) {
                lapic_poll(&v->lapic, now_ns);
                vcpu_kick(v);
            }
            next = earlier(next, v->lapic.timer_deadline_ns);
            if (v->state == VCPU_WAIT_MEMORY && frames_for_guests()) {
                v->state = VCPU_RUNNABLE;
                sched_wake(&v->sched);
            }
        }
    }
    return next;
}

void vcpu_waits_for_memory(struct vcpu *v)
{
    event_of_guest(v->vm, TITHE_EVENT_VM_MEMORY_WAIT, v->exit.u.fault.gpa);
}

/* ---- turns ---- */

/* Runs a vCPU until it blocks, its VM changes state, or the CPU is wanted for something else. */
static void vcpu_turn(struct vcpu *v)
{
    struct percpu *cpu = this_cpu();
    struct vm *vm = v->vm;
    unsigned exits_left = TURN_EXITS;
    fpu_claim(&v->fpu);
    do {
        if (v->irq_check) {
            deliver(v);
        }
#ifdef TITHE_DEBUG
        const char *fault = vendor->audit(v);
        if (fault != NULL) {
            vm_crash(v, fault);
            break;
        }
#endif
        vendor->run(v);
        exit_handle(v);
        const uint64_t deadline = earlier(v->lapic.timer_deadline_ns, vm->poll_ns);
        if (deadline < cpu->timer_deadline_ns) {
            time_arm(deadline);
        }
    } while (v->state == VCPU_RUNNABLE && vm->pending == 0 && !cpu->resched && --exits_left > 0);
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

static void idle(uint64_t next_ns)
{
    const uint64_t from = time_now_ns();
    time_arm(next_ns);
    cpu_idle();
    this_cpu()->idle_ns += time_now_ns() - from;
}

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

_Noreturn void run_forever(void)
{
    struct percpu *cpu = this_cpu();
    for (;;) {
        const uint64_t now = time_now_ns();
        if (time_to_leave(now)) {
            leave();
        }
        const uint64_t next = run_timers(now);
        struct sched_entity *e = sched_pick();
        cpu->resched = false;
        if (e == NULL) {
            idle(next);
            continue;
        }
        /* The steward is looked after even when nobody waits: it has a budget. */
        time_arm(sched_waiting() || e->steward ? earlier(next, now + slice_ns) : next);
        if (e->steward) {
            steward_turn();
            const uint64_t counted = e->cpu_ns + run_steward_ns(now);
            sched_charge(e, time_now_ns() - now); /* its place in the queue is by all of the time */
            e->cpu_ns = counted;
            if (steward_runnable()) {
                sched_requeue(e);
            }
            continue;
        }
        struct vcpu *v = CONTAINER_OF(e, struct vcpu, sched);
        struct vm *vm = v->vm;
        vcpu_turn(v);
        sched_charge(e, time_now_ns() - now);
        if (vm->pending != 0) {
            const uint64_t from = time_now_ns();
            vm_do_pending(vm);
            charge_vm(vm, from);
        } else if (v->state == VCPU_RUNNABLE && vm->state == TITHE_VM_RUNNING) {
            sched_requeue(e);
        }
    }
}
