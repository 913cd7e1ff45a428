/* SPDX-License-Identifier: MIT
 *
 * Sharing with threads as CPUs: vCPUs of three VMs wander between them and use their pages through TLBs that forget nothing by
 * themselves, while others scan, give pages away, and take whole VMs down. Each page holds one number, which only grows till
 * the page is given away, so pages are equal often. Whoever reads finds at least what was the number when he began, and at most
 * what it is when he is done: neither a page of others nor one from before a copy. Run under the thread sanitizer, and under
 * the address sanitizer.
 */
#define _DEFAULT_SOURCE
#include "host_env.h"
#include "mem/direct.h"
#include "mem/flush.h"
#include "mem/frame.h"
#include "mem/ledger.h"
#include "mem/p2m_tables.h"
#include "mem/share_table.h"
#include "mem/tlb.h"
#include "random.h"
#include "x86/percpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CPUS        4u
#define VMS         3u
#define VCPUS       2u /* of each VM */
#define FRAMES      80u
#define FIRST_GFN   480u /* RAM lies in two tables */
#define PAGES       64u
#define COLOURS     4u
#define NUMBERS     9u /* a page that holds the last is given away */
#define ACCESSES    60u
#define ROUND_STEPS 250u

struct vcpu {
    struct tlb_user tlb;
    bool taken;   /* a CPU runs it */
    uint32_t cpu; /* which did last */
};

struct page {
    bool taken;     /* by who writes to it or gives it away */
    uint64_t epoch; /* odd: is being given away */
    uint64_t number;
    unsigned place; /* of the number, the same for all its life */
};

static struct vm {
    struct p2m p2m;
    bool stopped; /* nobody takes a vCPU any more */
    bool recolours;
    uint64_t generation;
    uint64_t flushed[CPUS];
    struct vcpu vcpu[VCPUS];
    struct page page[PAGES];
} vms[VMS];

struct translation {
    mfn_t mfn;
    bool known, writable;
};

static struct cpu {
    bool kicked;
    struct translation tlb[VMS][PAGES];
    struct share_scan scan[VMS];
    uint64_t random;
    uint64_t reads, writes, waits, gives, kicks, destroyed, shared, breaks, moved, placed, busy, pinned;
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

static unsigned number(const struct vm *vm)
{
    return (unsigned)(vm - vms) + 1;
}

static bool take(bool *taken)
{
    return !__atomic_exchange_n(taken, true, __ATOMIC_ACQ_REL);
}

static void let_go(bool *taken)
{
    __atomic_store_n(taken, false, __ATOMIC_RELEASE);
}

static uint64_t load(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

/* ---- the flush, as the core does it ---- */

static void flush_map(struct p2m *p2m)
{
    struct vm *vm = CONTAINER_OF(p2m, struct vm, p2m);

    check(thread_cpu.locks_held == 0, "flush with locks held");
    const uint64_t generation = tlb_invalidate(&vm->generation);
    for (struct vcpu *v = vm->vcpu; v < vm->vcpu + VCPUS; v++) {
        const uint64_t gate = tlb_must_wait(&v->tlb, generation);
        if (!gate) continue;
        me()->kicks++;
        __atomic_store_n(&cpus[__atomic_load_n(&v->cpu, __ATOMIC_RELAXED)].kicked, true, __ATOMIC_RELEASE);
        while (tlb_still_in(&v->tlb, gate, generation)) sched_yield();
    }
}

/* ---- guests ---- */

/* As a CPU does: by the TLB, else by the tables, without any lock. NULL: a fault. */
static uint64_t *translate(struct vm *vm, unsigned i, bool write)
{
    struct translation *t = &me()->tlb[vm - vms][i];
    const struct pt_format *f = vm->p2m.format;
    unsigned level;

    if (!t->known || (write && !t->writable)) {
        const uint64_t entry = pt_load(pt_find(f, vm->p2m.root, FIRST_GFN + i, &level));
        if (!pt_present(f, entry) || (write && !(entry & f->write))) return NULL;
        *t = (struct translation){pt_address(f, entry) >> PAGE_SHIFT, true, (entry & f->write) != 0};
    }
    return (uint64_t *)mfn_to_virt(t->mfn) + vm->page[i].place;
}

static bool read_page(struct vm *vm, unsigned i)
{
    struct page *p = &vm->page[i];
    const uint64_t epoch = load(&p->epoch), least = load(&p->number);
    const uint64_t *word = translate(vm, i, false);

    if (!word) return false;
    const uint64_t found = load(word), most = load(&p->number);
    if (epoch % 2 || load(&p->epoch) != epoch) return true;
    check(least <= found && found <= most + 1, "VM %u, page %u: found %lu, not %lu to %lu", number(vm), i,
          found, least, most);
    me()->reads++;
    return true;
}

/* True, too, when somebody else has the page. */
static bool write_page(struct vm *vm, unsigned i)
{
    struct page *p = &vm->page[i];
    uint64_t *word;
    bool done = true;

    if (!take(&p->taken)) return true;
    if (p->number < NUMBERS) {
        word = translate(vm, i, true);
        if (word) {
            check(load(word) == p->number, "VM %u, page %u: found %lu, not %lu", number(vm), i, load(word),
                  p->number);
            __atomic_store_n(word, p->number + 1, __ATOMIC_SEQ_CST);
            __atomic_store_n(&p->number, p->number + 1, __ATOMIC_SEQ_CST);
            me()->writes++;
        }
        done = word != NULL;
    }
    let_go(&p->taken);
    return done;
}

static void give(struct vm *vm, unsigned i)
{
    struct page *p = &vm->page[i];
    FLUSH_BATCH(batch, &vm->p2m);

    if (!take(&p->taken)) return;
    __atomic_fetch_add(&p->epoch, 1, __ATOMIC_SEQ_CST);
    if (random_below(2))
        check(p2m_balloon(&vm->p2m, FIRST_GFN + i, &batch) != P2M_GIVE_HOLE, "a hole");
    else
        (void)p2m_discard(&vm->p2m, FIRST_GFN + i, 1, &batch);
    flush_discharge(&batch);
    __atomic_store_n(&p->number, 0, __ATOMIC_SEQ_CST);
    __atomic_fetch_add(&p->epoch, 1, __ATOMIC_SEQ_CST);
    let_go(&p->taken);
    me()->gives++;
}

/* One turn of a vCPU. False: it faulted at page *i, with a write or not. */
static bool run(struct vm *vm, struct vcpu *v, unsigned *i, bool *write)
{
    const uint32_t cpu = thread_cpu.index;
    bool ok = true;

    if (v->cpu != cpu) tlb_forget(&v->tlb);
    __atomic_store_n(&v->cpu, cpu, __ATOMIC_RELAXED);
    const uint64_t generation = tlb_enter(&v->tlb, &vm->generation);
    if (v->tlb.seen != generation) {
        if (vm->flushed[cpu] != generation) memset(me()->tlb[vm - vms], 0, sizeof(me()->tlb[0]));
        vm->flushed[cpu] = generation;
        tlb_entered(&v->tlb, generation);
    }
    for (unsigned n = 0; n < ACCESSES && ok && !__atomic_load_n(&me()->kicked, __ATOMIC_ACQUIRE); n++) {
        *i = (unsigned)random_below(PAGES);
        *write = random_below(4) == 0;
        if (n % 16 == 5) sched_yield(); /* others' turn, with this guest's under way */
        ok = *write ? write_page(vm, *i) : read_page(vm, *i);
    }
    tlb_left(&v->tlb);
    __atomic_store_n(&me()->kicked, false, __ATOMIC_RELAXED);
    return ok;
}

static void device(struct vm *vm)
{
    const unsigned i = (unsigned)random_below(PAGES);
    struct page *p = &vm->page[i];
    const gpa_t gpa = ((gpa_t)(FIRST_GFN + i) << PAGE_SHIFT) + 8 * p->place;
    uint64_t word = 0;

    if (!take(&p->taken)) return;
    if (p2m_read(&vm->p2m, gpa, &word, 8) == P2M_TOUCH_OK) {
        check(word == p->number, "VM %u, page %u: a device finds %lu, not %lu", number(vm), i, word,
              p->number);
        word++;
        if (p->number < NUMBERS && p2m_write(&vm->p2m, gpa, &word, 8) == P2M_TOUCH_OK)
            __atomic_store_n(&p->number, word, __ATOMIC_SEQ_CST);
    }
    let_go(&p->taken);
}

/* A device of the host writes by itself, and takes its time. */
static void dma(struct vm *vm)
{
    const unsigned i = (unsigned)random_below(PAGES);
    struct page *p = &vm->page[i];
    mfn_t mfn;

    if (!take(&p->taken)) return;
    if (p->number < NUMBERS && p2m_pin(&vm->p2m, FIRST_GFN + i, true, &mfn) == P2M_TOUCH_OK) {
        uint64_t *word = (uint64_t *)mfn_to_virt(mfn) + p->place;
        sched_yield();
        check(load(word) == p->number, "VM %u, page %u: DMA finds %lu, not %lu", number(vm), i, load(word),
              p->number);
        __atomic_store_n(word, p->number + 1, __ATOMIC_SEQ_CST);
        __atomic_store_n(&p->number, p->number + 1, __ATOMIC_SEQ_CST);
        sched_yield();
        p2m_unpin(&vm->p2m, FIRST_GFN + i, mfn);
        me()->pinned++;
    }
    let_go(&p->taken);
}

/* What a VM's CPUs and devices do is done with one of its vCPUs taken. */
static void turn(struct vm *vm)
{
    struct vcpu *v = &vm->vcpu[random_below(VCPUS)];
    unsigned i = 0;
    bool write = false;

    if (!take(&v->taken)) return;
    if (!__atomic_load_n(&vm->stopped, __ATOMIC_SEQ_CST)) {
        const uint64_t what = random_below(100);
        if (what < 10) {
            device(vm);
        } else if (what >= 95) {
            dma(vm);
        } else if (what < 16) {
            give(vm, (unsigned)random_below(PAGES));
        } else if (!run(vm, v, &i, &write)) {
            const enum p2m_touch got = p2m_touch(&vm->p2m, FIRST_GFN + i, write);
            check(got != P2M_TOUCH_HOLE, "a hole");
            me()->waits += got == P2M_TOUCH_NO_MEMORY;
            for (unsigned n = 0; got == P2M_TOUCH_NO_MEMORY && n < 16; n++)
                give(vm, (unsigned)random_below(PAGES));
        }
    }
    let_go(&v->taken);
}

/* ---- everybody else ---- */

static void scan(unsigned slot)
{
    struct p2m *p2m = p2m_hold((uint16_t)slot);

    if (!p2m) return;
    me()->scan[slot - 1].order = (enum share_order)random_below(SHARE_ORDERS);
    (void)share_scan(p2m, &me()->scan[slot - 1], 1 + (uint32_t)random_below(SHARE_SCAN_MAX));
    p2m_release(p2m);
}

static void recolour(struct vm *vm)
{
    struct p2m *p2m = p2m_hold((uint16_t)number(vm));

    if (!p2m) return;
    if (take(&vm->recolours)) {
        if (random_below(4) == 0) p2m_set_colours(p2m, (uint32_t)random_below(1u << COLOURS), PAGES);
        while (p2m_recolour_step(p2m)) continue;
        let_go(&vm->recolours);
    }
    p2m_release(p2m);
}

/* Pages next to each other get frames of one half. */
static void place(struct vm *vm)
{
    struct p2m *p2m = p2m_hold((uint16_t)number(vm));
    const mfn_t from = random_below(2) ? FRAMES / 2 : 0;
    enum p2m_move outcome[P2M_MOVE_MAX];
    gfn_t gfns[P2M_MOVE_MAX];
    const gfn_t first = FIRST_GFN + random_below(PAGES);

    if (!p2m) return;
    for (unsigned i = 0; i < P2M_MOVE_MAX; i++) gfns[i] = first + i;
    p2m_move(p2m, gfns, P2M_MOVE_MAX, from, from + FRAMES / 2, outcome);
    for (unsigned i = 0; i < P2M_MOVE_MAX; i++) {
        me()->placed += outcome[i] == P2M_MOVE_DONE;
        me()->busy += outcome[i] == P2M_MOVE_BUSY;
    }
    p2m_release(p2m);
}

static void make(struct vm *vm)
{
    const struct p2m_range ram = {FIRST_GFN, PAGES};

    memset(vm->flushed, 0, sizeof(vm->flushed));
    for (struct vcpu *v = vm->vcpu; v < vm->vcpu + VCPUS; v++) v->tlb = (struct tlb_user){0};
    vm->generation = 1;
    for (unsigned i = 0; i < PAGES; i++) {
        vm->page[i].number = 0;
        vm->page[i].place = (unsigned)random_below(3);
    }
    while (!p2m_create(&vm->p2m, vm == vms ? &pt_format_ept : &pt_format_npt, (uint16_t)number(vm), &ram, 1))
        sched_yield();
    vm->p2m.flush = flush_map;
    share_set_group(&vm->p2m, (uint8_t)(1 + (random_below(8) == 0)));
    __atomic_store_n(&vm->stopped, false, __ATOMIC_SEQ_CST);
}

/* On the boot CPU, while the others go on: only scans can have the map. */
static void end(struct vm *vm)
{
    __atomic_store_n(&vm->stopped, true, __ATOMIC_SEQ_CST);
    for (struct vcpu *v = vm->vcpu; v < vm->vcpu + VCPUS; v++) {
        while (!take(&v->taken)) sched_yield();
        let_go(&v->taken);
    }
    p2m_retire(&vm->p2m);
    me()->shared += vm->p2m.sharing.hits + vm->p2m.sharing.hint_hits;
    me()->breaks += vm->p2m.sharing.breaks;
    me()->moved += vm->p2m.colouring.moved;
    p2m_destroy(&vm->p2m);
    me()->destroyed++;
}

static void step(void)
{
    const uint64_t what = random_below(1000);
    struct vm *vm = &vms[random_below(VMS)];

    if (what < 750) {
        turn(vm);
    } else if (what < 800) {
        recolour(vm);
    } else if (what < 850) {
        place(vm);
    } else if (what < 985) {
        scan(number(vm));
    } else if (what < 990) {
        struct p2m *p2m = p2m_hold((uint16_t)number(vm));
        if (p2m) (void)p2m_pop_all(p2m);
        if (p2m) p2m_release(p2m);
    } else if (thread_cpu.index == 0) {
        end(vm);
        make(vm);
    }
}

static void look(void)
{
    struct p2m *const maps[VMS] = {&vms[0].p2m, &vms[1].p2m, &vms[2].p2m};
    struct tithe_ledger ledger;

    ledger_check(maps, VMS, &ledger);
    check(ledger.differences == 0, "ledger: %s", ledger.first);
}

static void *cpu_thread(void *arg)
{
    thread_cpu.index = (uint32_t)(uintptr_t)arg;
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < ROUND_STEPS; i++) step();
        pthread_barrier_wait(&barrier);
        if (thread_cpu.index == 0) look();
        pthread_barrier_wait(&barrier);
    }
    return NULL;
}

/* A race that was reported ends a program a second later otherwise. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "atexit_sleep_ms=0";
}

int main(void)
{
    pthread_t thread[CPUS];
    const uint64_t core = (frames_bytes(FRAMES) + PAGE_BYTES - 1) / PAGE_BYTES;
    const char *const wanted = getenv("MEM_ROUNDS");
    struct share_counts counts;

    rounds = wanted ? (unsigned)strtoul(wanted, NULL, 0) : 12;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..1\n");
    host_env_reset(FRAMES);
    frames_init(direct_base, FRAMES);
    frames_set_colour_count(COLOURS);
    frames_add(0, core, FRAME_CORE);
    frames_add(core, FRAMES - core, FRAME_FREE);
    for (unsigned i = 0; i < CPUS; i++) cpus[i].random = 2026 + i;
    for (unsigned i = 0; i < VMS; i++) make(&vms[i]);
    pthread_barrier_init(&barrier, NULL, CPUS);
    for (unsigned i = 1; i < CPUS; i++) pthread_create(&thread[i], NULL, cpu_thread, (void *)(uintptr_t)i);
    cpu_thread(NULL);
    for (unsigned i = 1; i < CPUS; i++) pthread_join(thread[i], NULL);
    share_counts(&counts);
    for (unsigned i = 0; i < VMS; i++) end(&vms[i]);
    struct frame_counts c;
    frames_counts(&c);
    check(c.free == FRAMES - core && c.promised == 0 && c.shared == 0, "%lu frames are left, %lu promised",
          c.free, c.promised);
    struct cpu sum = {0};
    for (unsigned i = 0; i < CPUS; i++) {
        sum.reads += cpus[i].reads;
        sum.writes += cpus[i].writes;
        sum.waits += cpus[i].waits;
        sum.gives += cpus[i].gives;
        sum.kicks += cpus[i].kicks;
        sum.placed += cpus[i].placed;
        sum.busy += cpus[i].busy;
        sum.pinned += cpus[i].pinned;
    }
    printf("# %lu pages placed, %lu not, for they were in use; %lu pinned\n", sum.placed, sum.busy,
           sum.pinned);
    printf("# %lu reads, %lu writes, %lu shared, %lu breaks, %lu times no memory, %lu given, %lu kicks, %lu "
           "VMs destroyed, "
           "%lu stale hints, %lu compares failed, %lu recoloured\n",
           sum.reads, sum.writes, cpus[0].shared, cpus[0].breaks, sum.waits, sum.gives, sum.kicks,
           cpus[0].destroyed, counts.stale_hints, counts.compares_failed, cpus[0].moved);
    check(sum.placed && sum.busy && sum.pinned && cpus[0].moved && sum.reads && sum.writes &&
              cpus[0].shared && cpus[0].breaks && sum.waits && sum.gives && sum.kicks &&
              cpus[0].destroyed > VMS && counts.stale_hints,
          "too little happened");
    printf("ok 1 - nobody sees another's page or an old one, and the books balance\n");
    host_env_end();
    return 0;
}
