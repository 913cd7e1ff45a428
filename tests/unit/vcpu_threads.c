/* SPDX-License-Identifier: MIT
 *
 * A vCPU that halts again and again, as vm/run.c has it run, and a device that interrupts it from another CPU: under
 * ThreadSanitizer, with a scheduler of one entity. No interrupt may find it asleep, or in the guest and not kicked.
 */
#include "virt/vendor.h"
#include "vm/event.h"
#include "vm/vm_table.h"
#include "x86/smp.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define INTERRUPTS 20000u
#define PATIENCE_S 20

static struct vm vm;
static struct vcpu v;
static pthread_mutex_t device_lock = PTHREAD_MUTEX_INITIALIZER, sched_lock = PTHREAD_MUTEX_INITIALIZER;
static bool line; /* an interrupt waits: under the device lock */
static bool queued;
static sem_t runs, kicks, taken;
struct vm_set vms_without_memory;

/* ---- the machine ---- */

void lock_acquire(struct lock *lock)
{
    (void)lock;
    pthread_mutex_lock(&device_lock);
}

void lock_release(struct lock *lock)
{
    (void)lock;
    pthread_mutex_unlock(&device_lock);
}

uint64_t time_now_ns(void)
{
    return 0;
}

static void queue(void)
{
    if (!queued) {
        queued = true;
        sem_post(&runs);
    }
}

void sched_wake(struct sched_entity *e)
{
    pthread_mutex_lock(&sched_lock);
    if (e->on_cpu) {
        e->woken = true;
    } else {
        queue();
    }
    pthread_mutex_unlock(&sched_lock);
}

void smp_kick_later(uint32_t index)
{
    (void)index;
    sem_post(&kicks);
}

void lapic_poll(struct lapic *l, uint64_t now_ns)
{
    (void)l, (void)now_ns;
}

int lapic_pending(const struct lapic *l)
{
    (void)l;
    return line ? 0x31 : -1;
}

void lapic_take(struct lapic *l, uint8_t vector)
{
    (void)l, (void)vector;
    line = false;
    sem_post(&taken);
}

int platform_pic_pending(struct platform *p)
{
    (void)p;
    return -1;
}

static bool may_inject(struct vcpu *of)
{
    (void)of;
    return true;
}

static void inject(struct vcpu *of, uint8_t vector)
{
    (void)of, (void)vector;
}

static bool nmi_waiting(const struct vcpu *of)
{
    (void)of;
    return false;
}

static const struct vendor fake_vendor = {
    .can_inject = may_inject, .inject_interrupt = inject, .nmi_waiting = nmi_waiting};
const struct vendor *vendor = &fake_vendor;

/* Not used here. */
void lapic_reset(struct lapic *l)
{
    (void)l;
}
void guest_msr_init(struct vcpu *of)
{
    (void)of;
}
uint8_t platform_pic_take(struct platform *p)
{
    (void)p;
    return 0;
}
void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    (void)timer, (void)deadline_ns;
}
void vm_ask(struct vm *of, enum vm_pending what)
{
    (void)of, (void)what;
}
void vm_set_add(struct vm_set *set, const struct vm *of)
{
    (void)set, (void)of;
}
uint64_t swap_completions(void)
{
    return 0;
}

void run_poke(uint32_t cpu)
{
    (void)cpu;
}

void event_of_guest(struct vm *of, enum tithe_event_kind kind, uint64_t value)
{
    (void)of, (void)kind, (void)value;
}

/* ---- the CPU that runs it ---- */

static void in(void)
{
    sem_wait(&runs);
    pthread_mutex_lock(&sched_lock);
    queued = false;
    __atomic_store_n(&v.sched.on_cpu, true, __ATOMIC_RELAXED);
    v.sched.woken = false;
    pthread_mutex_unlock(&sched_lock);
    /* The sanitizer knows no fences. */
    static uint32_t fence;
    __atomic_fetch_add(&fence, 1, __ATOMIC_SEQ_CST);
}

static void out(bool runnable)
{
    pthread_mutex_lock(&sched_lock);
    __atomic_store_n(&v.sched.on_cpu, false, __ATOMIC_RELAXED);
    if (runnable || v.sched.woken) queue();
    pthread_mutex_unlock(&sched_lock);
}

static enum vcpu_state state(void)
{
    return __atomic_load_n(&v.state, __ATOMIC_RELAXED);
}

/* The guest runs till it halts or, now and then, till it is kicked out. */
static void *cpu(void *unused)
{
    for (unsigned turn = 0;; turn++) {
        in();
        while (state() == VCPU_RUNNABLE) {
            while (v.irq_check || __atomic_load_n(&v.requests, __ATOMIC_RELAXED) != 0) vcpu_prepare(&v);
            if (turn % 3 == 0) {
                sem_wait(&kicks);
                turn++;
            } else if (turn % 3 == 1) {
                vcpu_halt(&v);
                turn++;
            } else {
                break; /* its slice is over */
            }
        }
        out(state() == VCPU_RUNNABLE);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    struct timespec until;
    unsigned lost = 0;

    vm.state = TITHE_VM_RUNNING;
    v = (struct vcpu){.vm = &vm, .state = VCPU_RUNNABLE, .regs.rflags = 1u << 9};
    sem_init(&runs, 0, 1);
    sem_init(&kicks, 0, 0);
    sem_init(&taken, 0, 0);
    queued = true;
    pthread_create(&thread, NULL, cpu, NULL);
    pthread_detach(thread);
    printf("1..1\n");
    for (unsigned i = 0; i < INTERRUPTS && lost == 0; i++) {
        lock_acquire(&vm.platform.lock);
        line = true;
        vcpu_kick(&v);
        lock_release(&vm.platform.lock);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PATIENCE_S;
        if (sem_timedwait(&taken, &until) != 0) lost = i + 1;
    }
    if (lost != 0) printf("# interrupt %u was not taken\n", lost);
    printf("%sok 1 - no_interrupt_is_lost\n", lost != 0 ? "not " : "");
    return lost != 0; /* or what the sanitizer ends it with, if it has seen a race */
}
