/* SPDX-License-Identifier: MIT
 *
 * The protocol of mem/tlb.h, all interleavings. A machine of two CPUs runs vCPUs of one VM, that wander between them, and
 * changers, each of which takes one page from the map and then uses its frame for something else. Every step of the
 * header is an atomic act here, and any process may do the next. A CPU may cache any present entry while a guest runs on it,
 * and keeps it until it is flushed: here it caches all there are as the guest begins, since to have more is never better.
 * What only the acting CPU can see (its flush) is one act with the step before.
 *
 * What must hold: no guest ever runs on a CPU that has a translation to a frame that is used for something else; whoever waits
 * gets on, although no guest leaves unless it is kicked; and who may get on is not held up again. Then each step of the
 * protocol is left out, done late or in another order, and that must be noticed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS         2u
#define VCPUS_MAX    3u
#define CHANGERS_MAX 2u

enum fault {
    NONE,
    GATE_NOT_OPENED,
    GATE_AFTER_GENERATION,
    GATE_STORE_BUFFERED,
    GATE_LEFT_OPEN,
    GATE_SHUT_AFTER_THE_EXIT_IS_HANDLED,
    GATE_THAT_DOES_NOT_COUNT,
    CPU_NOTED_AFTER_THE_GENERATION,
    NO_FLUSH,
    FLUSH_AFTER_THE_GUEST_BEGAN,
    NO_FLUSH_ON_ANOTHER_CPU,
    SEEN_NOT_TOLD,
    NO_NEW_GENERATION,
    GENERATION_BEFORE_THE_CHANGE,
    GATES_LOOKED_AT_BEFORE_THE_GENERATION,
    LAST_VCPU_LEFT_OUT,
    NO_KICK,
    NO_WAIT,
    WAIT_FOR_A_SHUT_GATE,
    FAULTS
};

enum violation { HOLDS, STALE, STUCK, HELD_UP, SEEN_LIES };

static const struct {
    const char *words;
    enum violation expected;
} faults[FAULTS] = {
    [NONE] = {"nothing", HOLDS},
    [GATE_NOT_OPENED] = {"(1) left out", STALE},
    [GATE_AFTER_GENERATION] = {"(2) before (1)", STALE},
    [GATE_STORE_BUFFERED] = {"(1) a plain store, seen by others later", STALE},
    [GATE_LEFT_OPEN] = {"the gate stays odd", STUCK},
    [GATE_SHUT_AFTER_THE_EXIT_IS_HANDLED] = {"the gate is odd while the exit is handled", STUCK},
    [GATE_THAT_DOES_NOT_COUNT] = {"the gate is 1 every time", HELD_UP},
    [CPU_NOTED_AFTER_THE_GENERATION] = {"where to kick is written after (2)", STUCK},
    [NO_FLUSH] = {"(3) without the flush", STALE},
    [FLUSH_AFTER_THE_GUEST_BEGAN] = {"(3) after the guest's first instructions", STALE},
    [NO_FLUSH_ON_ANOTHER_CPU] = {"(3) without looking which CPU has flushed", STALE},
    [SEEN_NOT_TOLD] = {"(3) without seen", SEEN_LIES},
    [NO_NEW_GENERATION] = {"(b) left out", STALE},
    [GENERATION_BEFORE_THE_CHANGE] = {"(b) before (a)", STALE},
    [GATES_LOOKED_AT_BEFORE_THE_GENERATION] = {"(c) before (b)", STALE},
    [LAST_VCPU_LEFT_OUT] = {"(c) for all vCPUs but one", STALE},
    [NO_KICK] = {"(c) without the kick", STUCK},
    [NO_WAIT] = {"(c) without the wait", STALE},
    [WAIT_FOR_A_SHUT_GATE] = {"(c) waits till the gate is even", HELD_UP},
};

/* How a TLB tells translations apart: by the map, so that a flush is for all vCPUs on a CPU (EPT), or by the vCPU (ASIDs). */
enum tags { BY_MAP, BY_VCPU };

static const struct config {
    enum tags tags;
    unsigned vcpus, changers;
    uint8_t turns[VCPUS_MAX];
    bool in_handler; /* changers are what vCPUs do after an exit, on their CPUs; else somebody else */
} configs[] = {
    {BY_MAP, 2, 2, {3, 2}, true},  {BY_VCPU, 2, 2, {2, 2}, true},  {BY_MAP, 3, 1, {2, 2, 1}, true},
    {BY_MAP, 2, 1, {3, 2}, false}, {BY_VCPU, 2, 1, {3, 2}, false}, {BY_MAP, 3, 1, {2, 1, 1}, false},
    {BY_MAP, 2, 2, {1, 1}, false},
};
#define CONFIGS (sizeof(configs) / sizeof(configs[0]))

enum vcpu_pc { IDLE, AT_GATE, AT_GENERATION, AT_SEEN, IN_GUEST, IN_HANDLER };
enum changer_pc { NOT_YET, AT_CHANGE, AT_BUMP, AT_LOOK_GATE, AT_LOOK_SEEN, AT_KICK, WAITING, AT_REUSE, DONE };

/* All bytes, so that states can be compared as such. */
struct state {
    uint8_t present;       /* entries, a bit for each page; page n is changer n's */
    uint8_t reused;        /* frames */
    uint8_t generation;    /* from 1 */
    uint8_t kicked;        /* CPUs with an interrupt pending */
    uint8_t flushed[CPUS]; /* BY_MAP: generation that the CPU has flushed for */
    uint8_t tlb[CPUS][VCPUS_MAX];
    struct {
        uint8_t pc, gate, seen, g, cpu, noted, turns;
        uint8_t buffered; /* the gate as this CPU sees it is one further */
        uint8_t late;     /* a flush is still to come */
    } v[VCPUS_MAX];
    struct {
        uint8_t pc, g, i, gate;
    } c[CHANGERS_MAX];
};

static const struct config *config;
static enum fault fault;
static enum violation violation;

/* ---- the states met ---- */

static struct state *states;
static uint32_t *table; /* 1 + index of a state */
static size_t state_count, state_limit, table_size;

static uint64_t hash(const struct state *s)
{
    uint64_t word[(sizeof(*s) + 7) / 8] = {0};
    uint64_t h = 0;

    memcpy(word, s, sizeof(*s));
    for (size_t i = 0; i < sizeof(word) / 8; i++) h = ((h ^ word[i]) * 0x9e3779b97f4a7c15) ^ (h >> 31);
    return h ^ h >> 29;
}

static void put(uint32_t index)
{
    size_t at = hash(&states[index]) % table_size;

    while (table[at]) at = (at + 1) % table_size;
    table[at] = index + 1;
}

/* States are appended as they are met: what lies behind the one at hand is still to be looked at. */
static void met(const struct state *s)
{
    size_t at = hash(s) % table_size;

    for (; table[at]; at = (at + 1) % table_size) {
        if (memcmp(&states[table[at] - 1], s, sizeof(*s)) == 0) return;
    }
    if (state_count == state_limit) {
        state_limit *= 2;
        table_size *= 2;
        states = realloc(states, state_limit * sizeof(*states));
        free(table);
        table = calloc(table_size, sizeof(*table));
        if (!states || !table) abort();
        for (uint32_t i = 0; i < state_count; i++) put(i);
    }
    states[state_count] = *s;
    put((uint32_t)state_count++);
}

/* ---- what a changer waits for ---- */

static bool may_get_on(const struct state *s, unsigned c)
{
    const unsigned i = s->c[c].i;
    const bool moved = fault == WAIT_FOR_A_SHUT_GATE ? (s->v[i].gate & 1) == 0 : s->v[i].gate != s->c[c].gate;

    return moved || s->v[i].seen >= s->c[c].g;
}

/* Adds the state that one act leads to; `actor` is the changer that acted, or none. */
#define NO_CHANGER CHANGERS_MAX
static void next(const struct state *from, const struct state *to, unsigned actor)
{
    for (unsigned c = 0; c < config->changers; c++) {
        if (c != actor && from->c[c].pc == WAITING && may_get_on(from, c) && !may_get_on(to, c))
            violation = HELD_UP;
    }
    met(to);
}

/* ---- vCPUs ---- */

static uint8_t *tlb_of(struct state *s, unsigned v)
{
    return &s->tlb[s->v[v].cpu][config->tags == BY_MAP ? 0 : v];
}

static bool cpu_is_free(const struct state *s, unsigned cpu)
{
    for (unsigned v = 0; v < config->vcpus; v++) {
        if (s->v[v].pc != IDLE && s->v[v].cpu == cpu) return false;
    }
    return true;
}

static void begin_turn(const struct state *from, unsigned v, unsigned cpu)
{
    struct state s = *from;

    s.v[v].turns++;
    /* What vendors do when a vCPU comes to another CPU: its own flushes are no longer the CPU's. */
    if (s.v[v].cpu != cpu && fault != NO_FLUSH_ON_ANOTHER_CPU) s.v[v].seen = 0;
    s.v[v].cpu = (uint8_t)cpu;
    if (fault != CPU_NOTED_AFTER_THE_GENERATION) s.v[v].noted = (uint8_t)cpu;
    s.v[v].pc = fault == GATE_AFTER_GENERATION ? AT_GENERATION : AT_GATE;
    next(from, &s, NO_CHANGER);
}

static void open_gate(struct state *s, unsigned v)
{
    if (fault == GATE_STORE_BUFFERED)
        s->v[v].buffered = 1;
    else if (fault == GATE_THAT_DOES_NOT_COUNT)
        s->v[v].gate = 1;
    else if (fault != GATE_NOT_OPENED && !(s->v[v].gate & 1))
        s->v[v].gate++;
}

static void shut_gate(struct state *s, unsigned v)
{
    s->v[v].gate = (uint8_t)(s->v[v].gate + s->v[v].buffered);
    s->v[v].buffered = 0;
    if (fault == GATE_THAT_DOES_NOT_COUNT)
        s->v[v].gate = 0;
    else if (fault != GATE_LEFT_OPEN && (s->v[v].gate & 1))
        s->v[v].gate++;
}

static void flush(struct state *s, unsigned v)
{
    uint8_t *flushed = &s->flushed[s->v[v].cpu];

    if (fault == NO_FLUSH || (config->tags == BY_MAP && *flushed == s->v[v].g)) return;
    if (config->tags == BY_MAP) *flushed = s->v[v].g;
    *tlb_of(s, v) = 0;
}

static void begin_guest(struct state *s, unsigned v)
{
    *tlb_of(s, v) |= s->present;
    s->v[v].noted = s->v[v].cpu;
    s->v[v].pc = IN_GUEST;
}

/* (3): the flush, and what is next. */
static void compare(struct state *s, unsigned v)
{
    if (s->v[v].seen == s->v[v].g) {
        begin_guest(s, v);
        return;
    }
    if (fault == FLUSH_AFTER_THE_GUEST_BEGAN)
        s->v[v].late = 1;
    else
        flush(s, v);
    s->v[v].pc = AT_SEEN;
}

/* (1) to the entry, one step. */
static void enter(const struct state *from, unsigned v)
{
    struct state s = *from;

    switch ((enum vcpu_pc)s.v[v].pc) {
    case AT_GATE:
        open_gate(&s, v);
        s.v[v].pc = AT_GENERATION;
        if (fault == GATE_AFTER_GENERATION) compare(&s, v);
        break;
    case AT_GENERATION:
        s.v[v].g = s.generation;
        if (fault == GATE_AFTER_GENERATION)
            s.v[v].pc = AT_GATE;
        else
            compare(&s, v);
        break;
    default: /* AT_SEEN */
        if (fault != SEEN_NOT_TOLD) s.v[v].seen = s.v[v].g;
        begin_guest(&s, v);
        break;
    }
    next(from, &s, NO_CHANGER);
}

/* The guest's turn ends; the vCPU may have something to change on its way. */
static void leave(const struct state *from, unsigned v, bool changes)
{
    struct state s = *from;

    s.kicked &= (uint8_t) ~(1u << s.v[v].cpu);
    s.v[v].late = 0;
    if (fault != GATE_SHUT_AFTER_THE_EXIT_IS_HANDLED || !config->in_handler) shut_gate(&s, v);
    s.v[v].g = 0; /* of no more use: fewer states */
    s.v[v].pc = config->in_handler ? IN_HANDLER : IDLE;
    if (changes) s.c[v].pc = AT_CHANGE;
    next(from, &s, NO_CHANGER);
}

static void guest(const struct state *from, unsigned v)
{
    struct state s = *from;

    if (s.v[v].late) {
        flush(&s, v);
        s.v[v].late = 0;
        begin_guest(&s, v);
        next(from, &s, NO_CHANGER);
    }
    leave(from, v, false);
    if (config->in_handler && v < config->changers && from->c[v].pc == NOT_YET) leave(from, v, true);
}

/* True: something that is bound to happen can. */
static bool vcpu_acts(const struct state *from, unsigned v)
{
    struct state s = *from;

    if (s.v[v].buffered) {
        s.v[v].gate++;
        s.v[v].buffered = 0;
        next(from, &s, NO_CHANGER);
        s = *from;
    }
    switch ((enum vcpu_pc)s.v[v].pc) {
    case IDLE:
        for (unsigned cpu = 0; cpu < CPUS && s.v[v].turns < config->turns[v]; cpu++) {
            if (cpu_is_free(from, cpu)) begin_turn(from, v, cpu);
        }
        return false;
    case IN_GUEST: guest(from, v); return s.kicked >> s.v[v].cpu & 1;
    case IN_HANDLER:
        if (config->in_handler && v < config->changers && s.c[v].pc != NOT_YET && s.c[v].pc != DONE)
            return false;
        if (fault == GATE_SHUT_AFTER_THE_EXIT_IS_HANDLED) shut_gate(&s, v);
        s.v[v].pc = IDLE;
        next(from, &s, NO_CHANGER);
        return true;
    default: enter(from, v); return true;
    }
}

/* ---- changers ---- */

static uint8_t next_vcpu(struct state *s, unsigned c)
{
    const unsigned last = config->vcpus - (fault == LAST_VCPU_LEFT_OUT);

    s->c[c].gate = 0;
    if (++s->c[c].i < last) return AT_LOOK_GATE;
    s->c[c].i = 0;
    return fault == GATES_LOOKED_AT_BEFORE_THE_GENERATION ? AT_BUMP : AT_REUSE;
}

static bool changer_acts(const struct state *from, unsigned c)
{
    struct state s = *from;
    const unsigned i = s.c[c].i;

    switch ((enum changer_pc)s.c[c].pc) {
    case NOT_YET:
    case DONE: return false;
    case AT_CHANGE: /* (a) */
        s.present &= (uint8_t) ~(1u << c);
        s.c[c].pc = fault == GENERATION_BEFORE_THE_CHANGE ? AT_LOOK_GATE : AT_BUMP;
        if (fault == GATES_LOOKED_AT_BEFORE_THE_GENERATION) {
            s.c[c].g = (uint8_t)(s.generation + 1);
            s.c[c].pc = AT_LOOK_GATE;
        }
        break;
    case AT_BUMP: /* (b) */
        if (fault != NO_NEW_GENERATION) s.generation++;
        s.c[c].g = s.generation;
        s.c[c].pc = fault == GENERATION_BEFORE_THE_CHANGE            ? AT_CHANGE
                    : fault == GATES_LOOKED_AT_BEFORE_THE_GENERATION ? AT_REUSE
                                                                     : AT_LOOK_GATE;
        break;
    case AT_LOOK_GATE: /* (c) */
        s.c[c].gate = s.v[i].gate;
        s.c[c].pc = s.c[c].gate & 1 ? AT_LOOK_SEEN : next_vcpu(&s, c);
        break;
    case AT_LOOK_SEEN: s.c[c].pc = s.v[i].seen >= s.c[c].g ? next_vcpu(&s, c) : AT_KICK; break;
    case AT_KICK:
        if (fault != NO_KICK) s.kicked |= (uint8_t)(1u << s.v[i].noted);
        s.c[c].pc = fault == NO_WAIT ? next_vcpu(&s, c) : WAITING;
        break;
    case WAITING:
        if (!may_get_on(from, c)) return false;
        s.c[c].pc = next_vcpu(&s, c);
        break;
    case AT_REUSE: /* (d) */
        s.reused |= (uint8_t)(1u << c);
        s.c[c].pc = DONE;
        s.c[c].g = 0;
        break;
    }
    next(from, &s, c);
    return true;
}

/* ---- all of it ---- */

static void look_at(const struct state *s)
{
    struct state copy = *s;
    bool goes_on = false, done = true;

    for (unsigned v = 0; v < config->vcpus; v++) {
        if (s->v[v].pc != IN_GUEST) continue;
        if (*tlb_of(&copy, v) & s->reused) violation = STALE;
        if (s->v[v].seen != s->v[v].g) violation = SEEN_LIES;
    }
    for (unsigned cpu = 0; cpu < CPUS; cpu++) {
        /* A CPU without a vCPU takes its interrupts. */
        if (!(s->kicked >> cpu & 1) || !cpu_is_free(s, cpu)) continue;
        copy.kicked &= (uint8_t) ~(1u << cpu);
        next(s, &copy, NO_CHANGER);
        copy = *s;
    }
    for (unsigned v = 0; v < config->vcpus; v++) goes_on |= vcpu_acts(&copy, v);
    for (unsigned c = 0; c < config->changers; c++) {
        goes_on |= changer_acts(&copy, c);
        done &= s->c[c].pc == DONE || s->c[c].pc == NOT_YET;
    }
    if (!done && !goes_on) violation = STUCK;
}

static enum violation explore(const struct config *of, enum fault with)
{
    struct state start = {.generation = 1};

    config = of;
    fault = with;
    violation = HOLDS;
    state_count = 0;
    memset(table, 0, table_size * sizeof(*table));
    for (unsigned c = 0; c < config->changers; c++) {
        start.present |= (uint8_t)(1u << c);
        start.c[c].pc = config->in_handler                      ? NOT_YET
                        : fault == GENERATION_BEFORE_THE_CHANGE ? AT_BUMP
                                                                : AT_CHANGE;
    }
    met(&start);
    for (size_t i = 0; i < state_count && violation == HOLDS; i++) {
        const struct state s = states[i]; /* the array may move */
        look_at(&s);
    }
    return violation;
}

int main(void)
{
    static const char *const words[] = {"holds", "a guest used a frame that was another's",
                                        "somebody waits for ever", "who could get on is held up again",
                                        "seen is not what was flushed for"};
    bool failed = false;

    setvbuf(stdout, NULL, _IOLBF, 0);
    state_limit = 1u << 16;
    table_size = 2 * state_limit + 1;
    states = malloc(state_limit * sizeof(*states));
    table = malloc(table_size * sizeof(*table));
    if (!states || !table) return 1;
    printf("1..%zu\n", CONFIGS + FAULTS - 1);
    for (unsigned i = 0; i < CONFIGS; i++) {
        const enum violation got = explore(&configs[i], NONE);
        failed |= got != HOLDS;
        printf("%sok %u - %u vCPUs, %u changers%s, TLBs tagged by %s: %s in %zu states\n",
               got == HOLDS ? "" : "not ", i + 1, configs[i].vcpus, configs[i].changers,
               configs[i].in_handler ? " in exit handlers" : "", configs[i].tags == BY_MAP ? "map" : "vCPU",
               words[got], state_count);
    }
    for (enum fault f = NONE + 1; f < FAULTS; f++) {
        bool noticed = false;
        for (unsigned i = 0; i < CONFIGS && !noticed; i++) {
            const enum violation got = explore(&configs[i], f);
            noticed = got == faults[f].expected;
            if (got != HOLDS && !noticed) printf("# %s: %s\n", faults[f].words, words[got]);
        }
        failed |= !noticed;
        printf("%sok %zu - %s is noticed: %s\n", noticed ? "" : "not ", CONFIGS + (unsigned)f,
               faults[f].words, words[faults[f].expected]);
    }
    return failed;
}
