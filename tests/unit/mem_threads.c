/* SPDX-License-Identifier: MIT
 *
 * Threads as CPUs: vCPUs of two VMs wander between them, access their pages through TLBs that forget nothing by themselves,
 * and give pages to their balloons; memory is short. The locks, the maps, the frames and mem/tlb.h are the core's.
 * Whatever a VM finds in a page must be zero or what it wrote there itself. Then a step of the flush is left out, and
 * that must be noticed. Run under the thread sanitizer.
 */
#define _DEFAULT_SOURCE
#include "host_env.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/frame_table.h"
#include "mem/ledger.h"
#include "mem/p2m.h"
#include "mem/tlb.h"
#include "random.h"
#include "x86/percpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPUS        4u
#define VMS         2u
#define VCPUS       3u /* of each VM */
#define FRAMES      600u
#define RESERVE     20u
#define FIRST_GFN   400u /* RAM lies in two tables */
#define PAGES       350u
#define ACCESSES    200u
#define ROUND_STEPS 300u

enum fault { NONE, NO_WAIT, NO_GATE, NO_FLUSH, NO_GENERATION, FAULTS };
static const char *const fault_words[FAULTS] = {"nothing", "the wait", "the gate", "the flush of the TLB",
                                                "the new generation"};
static enum fault fault;

struct vcpu {
    struct tlb_user tlb;
    bool taken;   /* a CPU runs it */
    uint32_t cpu; /* which did last */
};

static struct vm {
    struct p2m p2m;
    uint64_t generation;
    uint64_t flushed[CPUS];
    struct vcpu vcpu[VCPUS];
} vms[VMS];

static struct cpu {
    bool kicked;
    mfn_t tlb[VMS][PAGES]; /* frame + 1 */
    uint64_t random;
    uint64_t touches, waits, gives, flushes, kicks;
} cpus[CPUS];

static unsigned rounds;
static pthread_barrier_t barrier;
_Thread_local struct percpu thread_cpu;

uint32_t cpu_index(void)
{
    return thread_cpu.index;
}

static void check(bool ok, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void check(bool ok, const char *fmt, ...)
{
    va_list args;

    if (ok) return;
    if (fault != NONE) _exit(3);
    printf("# ");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\nnot ok\n");
    fflush(stdout);
    _exit(1);
}

static struct cpu *me(void)
{
    return &cpus[thread_cpu.index];
}

static uint64_t random_below(uint64_t limit)
{
    return random_from(&me()->random, limit);
}

static gfn_t random_gfn(void)
{
    return FIRST_GFN + random_below(PAGES);
}

static uint64_t tag(const struct vm *vm, gfn_t gfn)
{
    return (uint64_t)(vm - vms + 1) << 32 | gfn;
}

static void check_word(const struct vm *vm, gfn_t gfn, uint64_t word)
{
    check(word == 0 || word == tag(vm, gfn), "VM %u, gfn 0x%lx: found 0x%lx", (unsigned)(vm - vms), gfn,
          word);
}

/* ---- the flush, as the core does it ---- */

static void wait_for(struct vcpu *v, uint64_t generation)
{
    const uint64_t gate = tlb_must_wait(&v->tlb, generation);

    if (!gate) return;
    me()->kicks++;
    __atomic_store_n(&cpus[__atomic_load_n(&v->cpu, __ATOMIC_RELAXED)].kicked, true, __ATOMIC_RELEASE);
    while (tlb_still_in(&v->tlb, gate, generation)) sched_yield();
}

static void flush_map(struct p2m *p2m)
{
    struct vm *vm = CONTAINER_OF(p2m, struct vm, p2m);

    me()->flushes++;
    check(thread_cpu.locks_held == 0, "flush with locks held");
    if (fault == NO_GENERATION) return;
    const uint64_t generation = tlb_invalidate(&vm->generation);
    for (unsigned i = 0; i < VCPUS && fault != NO_WAIT; i++) wait_for(&vm->vcpu[i], generation);
}

/* ---- guests ---- */

/* As a CPU does: by the TLB, else by the tables, without any lock. False: a fault. */
static bool access_page(struct vm *vm, gfn_t gfn)
{
    mfn_t *cached = &me()->tlb[vm - vms][gfn - FIRST_GFN];
    unsigned level;

    if (!*cached) {
        const uint64_t entry = pt_load(pt_find(vm->p2m.format, vm->p2m.root, gfn, &level));
        if (!pt_present(vm->p2m.format, entry)) return false;
        *cached = (pt_address(vm->p2m.format, entry) >> PAGE_SHIFT) + 1;
    }
    uint64_t *word = (uint64_t *)mfn_to_virt(*cached - 1) + random_below(PAGE_BYTES / 8);
    check_word(vm, gfn, __atomic_load_n(word, __ATOMIC_RELAXED));
    __atomic_store_n(word, tag(vm, gfn), __ATOMIC_RELAXED);
    return true;
}

static uint64_t enter(struct vm *vm, struct vcpu *v)
{
    if (fault == NO_GATE) return __atomic_load_n(&vm->generation, __ATOMIC_SEQ_CST);
    return tlb_enter(&v->tlb, &vm->generation);
}

/* One turn of a vCPU. Returns the gfn it faulted at, 0 when the turn just ended. */
static gfn_t run(struct vm *vm, struct vcpu *v)
{
    const uint32_t cpu = thread_cpu.index;
    gfn_t fault_gfn = 0;

    if (v->cpu != cpu) tlb_forget(&v->tlb);
    __atomic_store_n(&v->cpu, cpu, __ATOMIC_RELAXED);
    const uint64_t generation = enter(vm, v);
    if (v->tlb.seen != generation) {
        if (vm->flushed[cpu] != generation && fault != NO_FLUSH)
            memset(me()->tlb[vm - vms], 0, sizeof(me()->tlb[0]));
        vm->flushed[cpu] = generation;
        tlb_entered(&v->tlb, generation);
    }
    for (unsigned i = 0; i < ACCESSES && !__atomic_load_n(&me()->kicked, __ATOMIC_ACQUIRE); i++) {
        const gfn_t gfn = random_gfn();
        if (i % 32 == 5) sched_yield(); /* others' turn, with this guest's under way */
        if (access_page(vm, gfn)) continue;
        if (random_below(32)) continue; /* rather another page: or turns would be short */
        fault_gfn = gfn;
        break;
    }
    if (fault != NO_GATE) tlb_left(&v->tlb);
    __atomic_store_n(&me()->kicked, false, __ATOMIC_RELAXED);
    return fault_gfn;
}

static void give(struct vm *vm, size_t count)
{
    FLUSH_BATCH(batch, &vm->p2m);
    uint32_t gfns[64];

    for (size_t i = 0; i < count; i++) gfns[i] = (uint32_t)random_gfn();
    me()->gives += p2m_balloon_pages(&vm->p2m, gfns, count, &batch);
    flush_discharge(&batch);
}

static void turn(struct vm *vm)
{
    struct vcpu *v = &vm->vcpu[random_below(VCPUS)];

    if (__atomic_exchange_n(&v->taken, true, __ATOMIC_ACQUIRE)) return;
    const gfn_t gfn = run(vm, v);
    __atomic_store_n(&v->taken, false, __ATOMIC_RELEASE);
    if (!gfn) return;
    const enum p2m_touch got = p2m_touch(&vm->p2m, gfn, true);
    check(got != P2M_TOUCH_HOLE, "gfn 0x%lx is a hole", gfn);
    me()->touches += got == P2M_TOUCH_OK;
    me()->waits += got == P2M_TOUCH_NO_MEMORY;
    if (got == P2M_TOUCH_NO_MEMORY) give(&vms[random_below(VMS)], 24);
}

/* ---- what else goes on ---- */

static void device_access(struct vm *vm)
{
    const gfn_t gfn = random_gfn();
    const gpa_t gpa = (gfn << PAGE_SHIFT) + 8 * random_below(PAGE_BYTES / 8);
    uint64_t word = tag(vm, gfn), was = 0;

    if (p2m_read(&vm->p2m, gpa, &was, 8) == P2M_TOUCH_OK) check_word(vm, gfn, was);
    if (p2m_cmpxchg(&vm->p2m, gpa, 8, 0, word, &was) == P2M_TOUCH_OK) check_word(vm, gfn, was);
    if (p2m_write(&vm->p2m, gpa, &word, 8) == P2M_TOUCH_HOLE) check(false, "gfn 0x%lx is a hole", gfn);
}

static void take_back(struct vm *vm)
{
    uint32_t gfns[32];

    for (size_t i = 0; i < 32; i++) gfns[i] = (uint32_t)random_gfn();
    (void)p2m_unballoon_pages(&vm->p2m, gfns, 32);
    if (random_below(50) == 0) (void)p2m_pop_all(&vm->p2m);
}

static void core_memory(void)
{
    const uint64_t count = 1 + random_below(10);
    const mfn_t mfn = frame_alloc_run(count, 1), single = frame_alloc(FRAME_CORE, FRAME_OWNER_CORE, 0);

    if (frames_promise(count)) frames_unpromise(count);
    if (mfn != MFN_NONE) {
        memset(mfn_to_virt(mfn), 0xee, count * PAGE_BYTES);
        frame_free_run(mfn, count);
    }
    if (single != MFN_NONE) frame_free(single);
}

static void count(void)
{
    struct frame_counts c;

    frames_counts(&c);
    check(c.free + c.core + c.table + c.guest + c.parked == c.total, "frames do not add up");
    check(c.total == FRAMES && c.free < FRAMES && c.guest < FRAMES && c.parked < FRAMES,
          "%lu free, %lu guest, %lu parked", c.free, c.guest, c.parked);
}

static void step(void)
{
    struct vm *vm = &vms[random_below(VMS)];
    const uint64_t what = random_below(1000);

    if (what < 800)
        turn(vm);
    else if (what < 880)
        device_access(vm);
    else if (what < 930)
        give(vm, 1 + random_below(16));
    else if (what < 980)
        take_back(vm);
    else if (what < 990)
        core_memory();
    else
        count();
}

/* ---- the boot CPU, the world stopped ---- */

static void make(struct vm *vm)
{
    const struct p2m_range ram = {FIRST_GFN, PAGES};

    /* A new VM begins with a generation that no CPU has flushed for; TLBs keep what they had. */
    memset(vm->flushed, 0, sizeof(vm->flushed));
    memset(vm->vcpu, 0, sizeof(vm->vcpu));
    vm->generation = 1;
    check(
        p2m_create(&vm->p2m, vm == vms ? &pt_format_ept : &pt_format_npt, (uint16_t)(vm - vms + 1), &ram, 1),
        "no memory for tables");
    vm->p2m.flush = flush_map;
}

static void look_after(void)
{
    struct p2m *const maps[VMS] = {&vms[0].p2m, &vms[1].p2m};
    struct tithe_ledger ledger;

    ledger_check(maps, VMS, &ledger);
    check(ledger.differences == 0, "ledger: %s", ledger.first);
    const uint64_t what = random_below(10);
    if (what == 0) p2m_reset(&vms[random_below(VMS)].p2m);
    if (what == 1) {
        struct vm *vm = &vms[random_below(VMS)];
        p2m_destroy(&vm->p2m);
        make(vm);
    }
    frames_set_reserve(RESERVE + random_below(3) * 40);
}

static void *cpu_thread(void *arg)
{
    thread_cpu.index = (uint32_t)(uintptr_t)arg;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < ROUND_STEPS; i++) step();
        pthread_barrier_wait(&barrier);
        if (thread_cpu.index == 0) look_after();
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void run_machine(unsigned of_rounds)
{
    pthread_t thread[CPUS];
    const uint64_t core = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;

    rounds = of_rounds;
    host_env_reset(FRAMES);
    frames_init(direct_base, FRAMES);
    frames_add(0, core, FRAME_CORE);
    frames_add(core, FRAMES - core, FRAME_FREE);
    frames_set_reserve(RESERVE);
    memset(cpus, 0, sizeof(cpus));
    for (unsigned i = 0; i < CPUS; i++) cpus[i].random = 2026 + i;
    for (unsigned i = 0; i < VMS; i++) make(&vms[i]);
    pthread_barrier_init(&barrier, NULL, CPUS);
    for (unsigned i = 1; i < CPUS; i++) pthread_create(&thread[i], NULL, cpu_thread, (void *)(uintptr_t)i);
    cpu_thread(NULL);
    for (unsigned i = 1; i < CPUS; i++) pthread_join(thread[i], NULL);
    for (unsigned i = 0; i < VMS; i++) p2m_destroy(&vms[i].p2m);
    struct frame_counts c;
    frames_counts(&c);
    check(c.free == FRAMES - core && c.promised == 0, "%lu frames are left, %lu promised", c.free,
          c.promised);
}

/* ---- locks alone ---- */

static struct lock counted = LOCK_INIT(LOCK_P2M);
static uint64_t counter;

static void *count_thread(void *arg)
{
    thread_cpu.index = (uint32_t)(uintptr_t)arg;
    for (unsigned i = 0; i < 20000; i++) {
        lock_acquire(&counted);
        counter++;
        if (i % 64 == 0) sched_yield();
        lock_release(&counted);
    }
    return NULL;
}

static bool locks_work(void)
{
    static struct lock lower = LOCK_INIT(LOCK_DEVICES), same = LOCK_INIT(LOCK_P2M),
                       higher = LOCK_INIT(LOCK_FRAMES);
    pthread_t thread[CPUS];

    for (unsigned i = 0; i < CPUS; i++) pthread_create(&thread[i], NULL, count_thread, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < CPUS; i++) pthread_join(thread[i], NULL);
    bool ok = counter == CPUS * 20000 && lock_is_free(&counted) && lock_contended(&counted) != 0 &&
              lock_contended(&same) == 0;
    lock_acquire(&counted);
    ok &= !lock_is_free(&counted);
    lock_acquire(&higher);
    lock_release(&counted); /* in any order */
    lock_release(&higher);
    lock_acquire(&counted);
    ok &= PANICS("lock of level 1 taken while levels 0x4 are held", lock_acquire(&lower));
    ok &= PANICS("lock of level 2 taken while levels 0x4 are held", lock_acquire(&same));
    ok &= PANICS("lock of level 2 taken while levels 0x4 are held", lock_acquire(&counted));
    lock_release(&counted);
    ok &= PANICS("released, but not held", lock_release(&counted));
    return ok;
}

/* A race that was reported ends a program a second later otherwise. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}

int main(void)
{
    unsigned test = 0;
    bool failed = false;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%u\n", FAULTS + 1);
    /* Each in a process of its own, before there are threads. */
    for (fault = NONE + 1; fault < FAULTS; fault++) {
        int status = 0;
        const pid_t child = fork();
        if (child == 0) {
            (void)!freopen("/dev/null", "w", stderr); /* the sanitizer notices, too */
            run_machine(1000);
            _exit(0);
        }
        waitpid(child, &status, 0);
        const bool noticed = WIFEXITED(status) && WEXITSTATUS(status) == 3;
        failed |= !noticed;
        printf("%sok %u - without %s a guest sees another's page\n", noticed ? "" : "not ", ++test,
               fault_words[fault]);
    }
    fault = NONE;
    const bool locks = locks_work();
    failed |= !locks;
    printf("%sok %u - locks exclude, count who waits, and are taken upwards\n", locks ? "" : "not ", ++test);
    run_machine(40);
    struct cpu sum = {0};
    for (unsigned i = 0; i < CPUS; i++) {
        sum.touches += cpus[i].touches;
        sum.waits += cpus[i].waits;
        sum.gives += cpus[i].gives;
        sum.flushes += cpus[i].flushes;
        sum.kicks += cpus[i].kicks;
    }
    printf("# %lu touches, %lu times no memory, %lu pages given, %lu flushes, %lu kicks\n", sum.touches,
           sum.waits, sum.gives, sum.flushes, sum.kicks);
    check(sum.touches && sum.waits && sum.gives && sum.flushes && sum.kicks, "too little happened");
    printf("ok %u - nobody sees another's page, and the books balance\n", ++test);
    host_env_end();
    return failed;
}
