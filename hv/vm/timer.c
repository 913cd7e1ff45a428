/* SPDX-License-Identifier: MIT
 *
 * The heaps are pairing heaps (Fredman, Sedgewick, Sleator, Tarjan 1986): they need no room but in the timers
 * themselves, so that setting one cannot fail. `child` is the first of those under a timer, `next` its next sibling, `prev` its
 * previous sibling or, for the first, its parent.
 */
#include "vm/timer.h"

#include "lib/lock.h"
#include "x86/cpu.h"
#include "x86/percpu.h"
#include "x86/time.h"

struct timer_heap {
    struct lock lock;
    struct timer *root;
    struct timer *firing; /* set under the lock as it leaves the heap, cleared when its `fire` is over */
    uint64_t now_ns;      /* of the last timers_run */
} __attribute__((aligned(64)));

static struct timer_heap heaps[CPUS_MAX] = {[0 ... CPUS_MAX - 1] = {.lock = LOCK_INIT(LOCK_TIMERS)}};

/* ---- heaps: under their lock ---- */

/* Of two roots, either NULL. */
static struct timer *meld(struct timer *a, struct timer *b)
{
    if (a == NULL || b == NULL) {
        return a == NULL ? b : a;
    }
    if (b->deadline_ns < a->deadline_ns) {
        struct timer *swap = a;
        a = b;
        b = swap;
    }
    b->prev = a;
    b->next = a->child;
    if (b->next != NULL) {
        b->next->prev = b;
    }
    a->child = b;
    return a;
}

/* One root of a list of siblings: first in pairs, then from the last pair on, which is what makes it cheap. */
static struct timer *meld_all(struct timer *list)
{
    struct timer *pairs = NULL, *root = NULL, *rest;
    for (; list != NULL; list = rest) {
        struct timer *second = list->next;
        rest = second == NULL ? NULL : second->next;
        struct timer *pair = meld(list, second);
        pair->next = pairs;
        pairs = pair;
    }
    for (; pairs != NULL; pairs = rest) {
        rest = pairs->next;
        root = meld(root, pairs);
    }
    if (root != NULL) {
        root->next = NULL;
        root->prev = NULL;
    }
    return root;
}

static void set_deadline(struct timer *t, uint64_t deadline_ns)
{
    __atomic_store_n(&t->deadline_ns, deadline_ns, __ATOMIC_RELAXED);
}

static void insert(struct timer_heap *h, struct timer *t, uint64_t deadline_ns)
{
    set_deadline(t, deadline_ns);
    h->root = meld(h->root, t);
}

/* No effect when it is not set. */
static void take_out(struct timer_heap *h, struct timer *t)
{
    if (t->deadline_ns == NO_DEADLINE) {
        return;
    }
    if (t->next != NULL) {
        t->next->prev = t->prev;
    }
    if (t->prev == NULL) {
        h->root = NULL;
    } else if (t->prev->child == t) {
        t->prev->child = t->next;
    } else {
        t->prev->next = t->next;
    }
    h->root = meld(h->root, meld_all(t->child));
    t->child = t->next = t->prev = NULL;
    set_deadline(t, NO_DEADLINE);
}

/* The heap it is in, or was in last, locked. t->cpu changes only under that lock, and last of all: whoever has
 * the lock of the new one then sees the rest (release, acquire). */
static struct timer_heap *lock_heap_of(const struct timer *t)
{
    for (;;) {
        const uint32_t cpu = __atomic_load_n(&t->cpu, __ATOMIC_RELAXED);
        lock_acquire(&heaps[cpu].lock);
        if (__atomic_load_n(&t->cpu, __ATOMIC_ACQUIRE) == cpu) {
            return &heaps[cpu];
        }
        lock_release(&heaps[cpu].lock);
    }
}

/* ---- for all ---- */

void timer_init(struct timer *timer, void (*fire)(struct timer *timer, uint64_t now_ns))
{
    *timer = (struct timer){.deadline_ns = NO_DEADLINE, .fire = fire};
}

void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    struct percpu *cpu = this_cpu();
    struct timer_heap *h = lock_heap_of(timer);
    take_out(h, timer);
    if (deadline_ns != NO_DEADLINE && h != &heaps[cpu->index]) {
        __atomic_store_n(&timer->cpu, cpu->index, __ATOMIC_RELEASE);
        lock_release(&h->lock);
        h = lock_heap_of(timer);
    }
    if (deadline_ns != NO_DEADLINE) {
        /* What is past by now counts for the next timers_run: else one that sets itself in the past would never let go. */
        insert(h, timer, deadline_ns > h->now_ns ? deadline_ns : h->now_ns + 1);
    }
    lock_release(&h->lock);
    if (deadline_ns < cpu->timers_ns) {
        cpu->timers_ns = deadline_ns;
        cpu->errands = true;
    }
}

/* Under t's heap's lock: nobody else can begin. Who began when it was in another heap is seen, because t came here after that. */
static bool is_firing(const struct timer *t)
{
    for (uint32_t cpu = 0; cpu < percpu_count(); cpu++) {
        if (__atomic_load_n(&heaps[cpu].firing, __ATOMIC_ACQUIRE) == t) {
            return true;
        }
    }
    return false;
}

void timer_cancel(struct timer *timer)
{
    for (;;) {
        struct timer_heap *h = lock_heap_of(timer);
        take_out(h, timer);
        const bool wait = is_firing(timer);
        lock_release(&h->lock);
        if (!wait) {
            return;
        }
        cpu_pause();
    }
}

uint64_t timers_run(uint64_t now_ns)
{
    struct timer_heap *h = &heaps[this_cpu()->index];
    for (;;) {
        lock_acquire(&h->lock);
        h->now_ns = now_ns;
        struct timer *t = h->root;
        const uint64_t next_ns = t == NULL ? NO_DEADLINE : t->deadline_ns;
        if (next_ns > now_ns || t == NULL) {
            lock_release(&h->lock);
            this_cpu()->timers_ns = NO_DEADLINE;
            return next_ns;
        }
        take_out(h, t);
        __atomic_store_n(&h->firing, t, __ATOMIC_RELAXED);
        lock_release(&h->lock);
        t->fire(t, now_ns);
        __atomic_store_n(&h->firing, NULL, __ATOMIC_RELEASE);
    }
}

uint64_t timers_contended(uint32_t cpu)
{
    return lock_contended(&heaps[cpu].lock);
}
