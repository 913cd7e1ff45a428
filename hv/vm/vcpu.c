/* SPDX-License-Identifier: MIT
 *
 * What makes a vCPU sleep, wake and look up. Its state changes under the VM's device lock, which whoever makes something
 * pending for it holds as well; so no wake-up is lost between its last look and its going to sleep.
 */
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/run.h"
#include "vm/vm_table.h"
#include "x86/smp.h"
#include "x86/time.h"

#define RFLAGS_IF (1u << 9)

/* ---- under the device lock ---- */

/* Its own CPU reads it without. */
static void set_state(struct vcpu *v, enum vcpu_state state)
{
    __atomic_store_n(&v->state, state, __ATOMIC_RELAXED);
}

static bool interrupt_pending(struct vcpu *v)
{
    lapic_poll(&v->lapic, time_now_ns());
    return lapic_pending(&v->lapic) >= 0 || (v->index == 0 && platform_pic_pending(&v->vm->platform) >= 0);
}

static bool requested(const struct vcpu *v, uint32_t what)
{
    return (__atomic_load_n(&v->requests, __ATOMIC_RELAXED) & what) != 0;
}

/* Is there what ends a HLT? The look at the timer may itself request an NMI. */
static bool wakes(struct vcpu *v)
{
    return ((v->regs.rflags & RFLAGS_IF) != 0 && interrupt_pending(v)) ||
           requested(v, ~(uint32_t)VCPU_REQUEST_IRQ);
}

/* One of a VM that does not run is only marked: vm_start has it queued. */
static void wake(struct vcpu *v)
{
    set_state(v, VCPU_RUNNABLE);
    if (v->vm->state == TITHE_VM_RUNNING) {
        sched_wake(&v->sched);
    }
}

/* The bit is set before on_cpu is read, and run.c reads them the other way round: either it sees the bit before it enters
 * the guest, or is kicked out. Who set the bit earlier has kicked. */
static void request(struct vcpu *v, uint32_t what)
{
    const uint32_t before = __atomic_fetch_or(&v->requests, what, __ATOMIC_SEQ_CST);
    if (v->state == VCPU_HALTED) {
        if (wakes(v)) {
            wake(v);
        }
    } else if ((before & what) == 0 && __atomic_load_n(&v->sched.on_cpu, __ATOMIC_RELAXED)) {
        smp_kick_later(v->sched.cpu);
    }
}

void vcpu_kick(struct vcpu *v)
{
    request(v, VCPU_REQUEST_IRQ);
}

void vcpu_nmi(struct vcpu *v)
{
    request(v, VCPU_REQUEST_NMI);
}

void vcpu_init(struct vcpu *v)
{
    if (v->index == 0) { /* then the boot CPU begins anew (SDM 3A 9.1.4), and with it the machine */
        vm_ask(v->vm, VM_PENDING_REBOOT);
        return;
    }
    __atomic_fetch_and(&v->requests, ~(uint32_t)VCPU_REQUEST_SIPI, __ATOMIC_SEQ_CST);
    request(v, VCPU_REQUEST_INIT);
}

void vcpu_sipi(struct vcpu *v, uint8_t vector)
{
    if (v->state != VCPU_STOPPED && !requested(v, VCPU_REQUEST_INIT)) {
        return;
    }
    v->sipi_vector = vector;
    request(v, VCPU_REQUEST_SIPI);
    if (v->state == VCPU_STOPPED) {
        wake(v);
    }
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
    v->irq_check = false;
    v->window_wanted = false;
    if (interrupt_pending(v)) {
        if (vendor->can_inject(v)) {
            vendor->inject_interrupt(v, take(v));
            v->window_wanted = interrupt_pending(v); /* another is behind it */
        } else {
            v->window_wanted = true;
        }
    }
}

static void init(struct vcpu *v)
{
    lapic_reset(&v->lapic);
    guest_msr_init(v);
    set_state(v, VCPU_STOPPED);
}

static void start(struct vcpu *v)
{
    vendor->vcpu_reset_sipi(v, v->sipi_vector);
    set_state(v, VCPU_RUNNABLE);
}

/* Whatever may have changed the LAPIC's timer has v->irq_check set, or is HLT. */
static void set_timer(struct vcpu *v)
{
    if (v->timer.deadline_ns != v->lapic.timer_deadline_ns) {
        timer_set(&v->timer, v->lapic.timer_deadline_ns);
    }
}

/* ---- by its own CPU ---- */

void vcpu_prepare(struct vcpu *v)
{
    struct lock *lock = &v->vm->platform.lock;
    lock_acquire(lock);
    const uint32_t asked = __atomic_exchange_n(&v->requests, 0, __ATOMIC_SEQ_CST);
    if ((asked & VCPU_REQUEST_INIT) != 0) {
        init(v);
    }
    if ((asked & VCPU_REQUEST_SIPI) != 0) {
        start(v);
    }
    if (v->state == VCPU_RUNNABLE) {
        /* One that waits for a SIPI takes no NMI (SDM 3C 26.2). */
        if ((asked & ~(uint32_t)VCPU_REQUEST_IRQ) == VCPU_REQUEST_NMI) {
            vendor->inject_nmi(v);
        }
        deliver(v);
    }
    set_timer(v);
    lock_release(lock);
}

void vcpu_halt(struct vcpu *v)
{
    struct lock *lock = &v->vm->platform.lock;
    lock_acquire(lock);
    if (!wakes(v) && !vendor->nmi_waiting(v)) {
        set_state(v, VCPU_HALTED);
    }
    v->irq_check = true;
    set_timer(v);
    lock_release(lock);
}

void vcpu_wait(struct vcpu *v, enum vcpu_state state, uint64_t seen)
{
    struct lock *lock = &v->vm->platform.lock;
    lock_acquire(lock);
    /* Whoever ends a request counts it first, and wakes with this lock afterwards: so one of the two sees the other. */
    if (swap_completions() == seen) {
        set_state(v, state);
        if (state == VCPU_WAIT_MEMORY) {
            event_of_guest(v->vm, TITHE_EVENT_VM_MEMORY_WAIT, v->exit.u.fault.gpa);
        }
    }
    lock_release(lock);
    if (state == VCPU_WAIT_MEMORY) {
        vm_set_add(&vms_without_memory, v->vm);
        run_poke(0); /* it keeps the reserve: vm/paging.c */
    }
}

/* ---- by any ---- */

void vcpu_on_timer(struct timer *timer, uint64_t now_ns)
{
    struct vcpu *v = CONTAINER_OF(timer, struct vcpu, timer);
    struct lock *lock = &v->vm->platform.lock;
    lock_acquire(lock);
    if (v->vm->state == TITHE_VM_RUNNING) {
        lapic_poll(&v->lapic, now_ns);
        vcpu_kick(v);
        timer_set(timer, v->lapic.timer_deadline_ns);
    }
    lock_release(lock);
}

void vcpu_memory_came(struct vcpu *v)
{
    struct lock *lock = &v->vm->platform.lock;
    lock_acquire(lock);
    if (v->state == VCPU_WAIT_MEMORY || v->state == VCPU_WAIT_IO) {
        wake(v);
    }
    lock_release(lock);
}
