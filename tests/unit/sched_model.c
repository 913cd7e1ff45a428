/* SPDX-License-Identifier: MIT
 *
 * Random acts of several CPUs, one at a time, and the same done by a model: no queues, no carrying over of remainders, just
 * the rules. After each act all entities are as the model has them, the same CPUs were told, and no CPU that halts or runs without a
 * slice is left alone with somebody waiting.
 */
#include "host_env.h"

#include "vm/sched.h"
#include "vm_cpus.h"
#include "x86/percpu.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sched_tests.h"

#define CPUS     5u
#define ENTITIES 10u
#define ACTS     4000u
#define SEEDS    40u
#define SLICE    (2 * MS)
#define UNIT_NS  64u

typedef unsigned __int128 wide;

enum place { ASLEEP, WAITS, RUNS };

struct model {
    enum place place;
    uint32_t cpu, weight;
    bool woken, pinned;
    uint64_t base; /* vtime is this and all of its time since the last change of weight, divided once */
    wide ns;
    uint64_t since; /* when it joined its queue */
};

struct model_cpu {
    int current; /* entity, -1: none */
    bool idle, alone;
    uint64_t from; /* vtime of whom it runs, or ran last, at the beginning of his turn */
    bool told;
};

static struct sched_entity entities[ENTITIES];
static struct model models[ENTITIES];
static struct model_cpu cpus[CPUS];
static uint32_t cpu_count, me;
static uint64_t seed, clock_now, joined;
static bool alone_turn[CPUS];
static bool reserved; /* CPU 0 is for who is pinned to it */

static bool is_open(uint32_t cpu)
{
    return cpu != 0 || !reserved;
}

/* ---- the model ---- */

static uint64_t vtime(const struct model *m)
{
    return m->base + (uint64_t)(m->ns * (SCHED_WEIGHT / UNIT_NS) / m->weight);
}

static uint64_t in_vtime(uint64_t ns, uint32_t weight)
{
    return (uint64_t)((wide)ns * (SCHED_WEIGHT / UNIT_NS) / weight);
}

static void at_least(struct model *m, uint64_t to)
{
    if (vtime(m) < to) m->base += to - vtime(m);
}

static uint64_t back(uint64_t from, uint64_t by)
{
    return from < by ? 0 : from - by;
}

static void tick(const struct model *m)
{
    const uint64_t to = back(vtime(m), in_vtime(3 * SLICE, m->weight));
    clock_now = clock_now < to ? to : clock_now;
}

static void tell_model(uint32_t cpu)
{
    cpus[cpu].told = true;
}

/* Somebody waits whom any open CPU could run. */
static void model_tell(void)
{
    for (uint32_t i = cpu_count; i-- > 0;) {
        if (cpus[i].idle && is_open(i)) {
            cpus[i].idle = false;
            tell_model(i);
            return;
        }
    }
    for (uint32_t i = 0; i < cpu_count; i++) {
        if (cpus[i].alone && is_open(i)) {
            cpus[i].alone = false;
            tell_model(i);
        }
    }
}

static void model_wake(struct model *m)
{
    if (m->place != ASLEEP) {
        m->woken |= m->place == RUNS;
        return;
    }
    for (uint32_t i = cpu_count; i-- > 0 && !m->pinned && !cpus[m->cpu].idle;) {
        if (cpus[i].idle && is_open(i)) m->cpu = i;
    }
    at_least(m, clock_now);
    m->place = WAITS;
    m->since = joined++;
    struct model_cpu *c = &cpus[m->cpu];
    if (c->idle || (c->from > vtime(m) && c->from - vtime(m) > MS / 2 / UNIT_NS)) {
        c->idle = false;
        tell_model(m->cpu);
    } else if (c->alone) {
        c->alone = false;
        tell_model(m->cpu);
    } else if (!m->pinned) {
        model_tell();
    }
}

/* The first among those of whom `ours` is true for this CPU's queue. */
static int model_first(bool ours)
{
    int best = -1;
    for (unsigned i = 0; i < ENTITIES; i++) {
        const struct model *m = &models[i], *b = &models[best < 0 ? 0 : best];
        if (m->place != WAITS || (m->cpu == me) != ours || (!ours && (m->pinned || !is_open(me)))) continue;
        if (best < 0 || vtime(m) < vtime(b) ||
            (vtime(m) == vtime(b) && (m->cpu == b->cpu ? m->since < b->since : m->cpu < b->cpu)))
            best = (int)i;
    }
    return best;
}

static int model_next(int current)
{
    if (current >= 0) {
        struct model *m = &models[current];
        if (alone_turn[me]) tick(m);
        at_least(m, back(clock_now, in_vtime(3 * SLICE, m->weight)));
    }
    alone_turn[me] = false;
    int e = model_first(true);
    const int other = model_first(false);
    if (e < 0 || (current >= 0 && vtime(&models[current]) <= vtime(&models[e]))) e = current;
    if (e < 0) {
        e = other;
    } else if (other >= 0) {
        const uint32_t weight = models[e].weight < SCHED_WEIGHT ? SCHED_WEIGHT : models[e].weight;
        if (vtime(&models[other]) < back(vtime(&models[e]), in_vtime(2 * SLICE, weight))) e = other;
    }
    cpus[me].from = UINT64_MAX;
    if (e >= 0) {
        struct model *m = &models[e];
        m->place = RUNS;
        m->cpu = me;
        m->woken = false;
        at_least(m, clock_now);
        tick(m);
        cpus[me].from = vtime(m);
    }
    return e;
}

static void model_put(int e, bool runnable)
{
    struct model *m = &models[e];
    const bool waits = runnable || m->woken;
    m->woken = false;
    m->place = waits ? WAITS : ASLEEP;
    m->since = joined++;
}

static bool model_anybody(void)
{
    return model_first(true) >= 0 || model_first(false) >= 0;
}

static bool model_waiting(void)
{
    bool for_all = false;
    for (unsigned i = 0; i < ENTITIES; i++) {
        for_all |= models[i].place == WAITS && !models[i].pinned;
    }
    cpus[me].alone = alone_turn[me] = !model_anybody();
    if (for_all && is_open(me)) model_tell();
    return model_anybody();
}

/* ---- the acts ---- */

static unsigned any(unsigned n)
{
    return (unsigned)(random_next(&seed) % n);
}

/* From a hundred nanoseconds to ten milliseconds; now and then for seconds. */
static uint64_t some_ns(void)
{
    const uint64_t most[] = {100, 10000, 2 * MS, 2 * MS, 10 * MS, any(20) == 0 ? 5000 * MS : MS};
    return random_next(&seed) % most[any(6)];
}

static uint32_t some_weight(void)
{
    const uint32_t weights[] = {SCHED_WEIGHT / 8000, SCHED_WEIGHT / 3, SCHED_WEIGHT,
                                SCHED_WEIGHT,        2 * SCHED_WEIGHT, 1000 * SCHED_WEIGHT};
    return weights[any(6)];
}

static void charge(unsigned i)
{
    const uint64_t ns = some_ns();
    sched_charge(&entities[i], ns);
    models[i].ns += ns;
    if (models[i].place == WAITS) models[i].since = joined++;
}

static void put(int e, bool runnable)
{
    sched_put(&entities[e], runnable);
    model_put(e, runnable);
}

static void cpu_goes_on(void)
{
    struct model_cpu *c = &cpus[me];
    c->told = false;
    this_cpu()->resched = false;
    (void)cpus_kicks(me);
    sched_idle_end();
    c->idle = false;
    if (c->current >= 0) {
        charge((unsigned)c->current);
        if (any(3) == 0) {
            put(c->current, any(4) == 0);
            c->current = -1;
        }
    }
    const int was = c->current, now = model_next(was);
    struct sched_entity *e = sched_next(was < 0 ? NULL : &entities[was]);
    assert_ptr_equal(e, now < 0 ? NULL : &entities[now]);
    c->current = now;
    if (was >= 0 && was != now) put(was, true);
    if (now < 0) {
        assert_int_equal(sched_idle_begin(), !model_anybody());
        c->idle = !model_anybody();
        c->alone = false;
    } else {
        assert_int_equal(sched_waiting(), model_waiting());
    }
}

static void set_weight(unsigned i)
{
    struct model *m = &models[i];
    const uint32_t weight = some_weight();
    sched_set_weight(&entities[i], weight);
    at_least(m, clock_now);
    m->base = clock_now + (uint64_t)((wide)(vtime(m) - clock_now) * m->weight / weight);
    m->ns = 0;
    m->weight = weight;
    if (m->place == WAITS) m->since = joined++;
}

/* All that were told look around. */
static void settle(void)
{
    for (unsigned n = 0; n < 10; n++) {
        for (me = 0; me < cpu_count; me++) {
            cpus_be(me);
            if (cpus[me].told) cpu_goes_on();
        }
    }
}

static void act(void)
{
    const unsigned i = any(ENTITIES);
    me = any(cpu_count);
    cpus_be(me);
    if (any(4) == 0) {
        settle();
        return;
    }
    switch (any(10)) {
    case 0:
    case 1:
    case 2:
        sched_wake(&entities[i]);
        model_wake(&models[i]);
        break;
    case 3:
        if (any(5) == 0) charge(i);
        break;
    case 4:
        if (any(10) == 0) set_weight(i);
        break;
    case 5:
        if (any(5) == 0 && models[i].place != RUNS) {
            sched_sync(&entities[i]);
            models[i].place = ASLEEP;
        }
        break;
    default: cpu_goes_on(); break;
    }
}

static void compare(void)
{
    bool somebody = false, ours[CPUS] = {false}, told = false;
    for (unsigned i = 0; i < ENTITIES; i++) {
        const struct model *m = &models[i];
        const struct sched_entity *e = &entities[i];
        assert_int_equal(e->vtime, vtime(m));
        assert_int_equal(e->cpu, m->cpu);
        assert_int_equal(e->queued, m->place == WAITS);
        assert_int_equal(e->on_cpu, m->place == RUNS);
        assert_int_equal(e->woken, m->woken);
        somebody |= m->place == WAITS && !m->pinned;
        ours[m->cpu] |= m->place == WAITS;
    }
    for (uint32_t i = 0; i < cpu_count; i++) {
        const struct model_cpu *c = &cpus[i];
        assert_int_equal(percpu_of(i)->resched, c->told);
        told |= c->told;
    }
    /* Who was told looks at once, and sees to the rest. */
    for (uint32_t i = 0; i < cpu_count && !told; i++) {
        assert_false((cpus[i].idle || alone_turn[i]) && ((somebody && is_open(i)) || ours[i]));
    }
}

static void begin(uint32_t count)
{
    cpu_count = count;
    cpus_reset(count);
    memset(models, 0, sizeof models);
    clock_now = 0;
    /* The last turn of another test, without a slice perhaps, is over. */
    struct sched_entity e;
    sched_init(&e, 0, SCHED_WEIGHT, SCHED_VCPU);
    for (uint32_t i = 0; i < CPUS_MAX; i++) {
        cpus_be(i);
        assert_null(sched_next(NULL));
        sched_wake(&e);
        assert_int_equal(sched_waiting(), is_open(i));
        sched_sync(&e);
    }
    cpus_reset(count);
    for (uint32_t i = 0; i < CPUS; i++) {
        cpus[i] = (struct model_cpu){.current = -1, .from = UINT64_MAX};
        cpus_be(i);
        assert_null(sched_next(NULL));
        alone_turn[i] = false;
    }
    for (unsigned i = 0; i < ENTITIES; i++) {
        const uint32_t cpu = i % count;
        models[i] = (struct model){
            .cpu = i == 0 || is_open(cpu) ? cpu : count - 1, .weight = some_weight(), .pinned = i == 0};
        sched_init(&entities[i], cpu, models[i].weight, i == 0 ? SCHED_STEWARD : SCHED_VCPU);
        models[i].base = clock_now = entities[i].vtime;
    }
}

static void end(void)
{
    for (me = 0; me < cpu_count; me++) {
        cpus_be(me);
        sched_idle_end();
        if (cpus[me].current >= 0) sched_put(&entities[cpus[me].current], false);
        (void)sched_waiting();
    }
    for (unsigned i = 0; i < ENTITIES; i++) sched_sync(&entities[i]);
}

static void does_as_the_model_does(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SEEDS; i++) {
        seed = 1000 + i;
        begin(1 + i % CPUS);
        for (unsigned n = 0; n < ACTS; n++) {
            act();
            compare();
        }
        end();
    }
}

static void a_reserved_cpu_runs_only_who_is_pinned_to_it(void **state)
{
    (void)state;
    reserved = true;
    sched_set_open(0, false);
    for (unsigned i = 0; i < SEEDS; i++) {
        seed = 5000 + i;
        begin(2 + i % (CPUS - 1));
        for (unsigned n = 0; n < ACTS; n++) {
            act();
            compare();
            for (unsigned e = 1; e < ENTITIES; e++) assert_int_not_equal(entities[e].cpu, 0);
        }
        end();
    }
    reserved = false;
    sched_set_open(0, true);
}

const struct CMUnitTest model_tests[] = {
    cmocka_unit_test(does_as_the_model_does),
    cmocka_unit_test(a_reserved_cpu_runs_only_who_is_pinned_to_it),
};
const size_t model_test_count = sizeof model_tests / sizeof model_tests[0];
