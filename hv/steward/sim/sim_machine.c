/* SPDX-License-Identifier: MIT
 *
 * The system calls of tithe/abi.h, on the simulated machine.
 */
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "names.h"
#include "rules.h"
#include "sim.h"
#include "text.h"

#define NS_PER_MS 1000000ull

static struct sim *sim;

uint64_t sim_random(struct sim *s)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * 0x2545F4914F6CDD1Dull;
}

void sim_why(struct tithe_mgmt *m, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(m->reason, sizeof m->reason, format, list);
    va_end(list);
}

void sim_event(struct sim *s, uint32_t kind, uint32_t vm, uint64_t value, uint64_t value2, const char *text)
{
    struct tithe_event *e = &s->events[s->snap.event_seq % SIM_EVENTS_MAX];
    *e = (struct tithe_event){.seq = s->snap.event_seq,
                              .ns = s->snap.now_ns,
                              .kind = kind,
                              .vm = vm,
                              .value = value,
                              .value2 = value2};
    text_copy(e->text, sizeof e->text, text);
    s->snap.event_seq++;
}

/* ---- Time --------------------------------------------------------------- */

static uint64_t real_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec;
}

/* Simulated time runs tick_ms / step_ms as fast as real time; with step_ms = 0 it
 * stands still except in sim_wait(), and then jumps. */
static uint64_t sim_clock(void)
{
    if (sim->options.step_ms == 0) return sim->snap.now_ns;
    uint64_t since = real_ns() - sim->real_start_ns;
    return sim->sim_start_ns + since / sim->options.step_ms * sim->options.tick_ms;
}

static int64_t sim_refresh(void)
{
    sim_pass(sim, sim_clock());
    sim->snap.generation++;
    memcpy(&sim->view, &sim->snap,
           offsetof(struct tithe_snapshot, vm) + sim->snap.vm_count * sizeof sim->snap.vm[0]);
    return (int64_t)sim->snap.generation;
}

static bool input_waits(int timeout_ms)
{
    struct pollfd fd = {.fd = STDIN_FILENO, .events = POLLIN};
    return !sim->input_ended && poll(&fd, 1, timeout_ms) > 0;
}

static int64_t sim_wait(uint64_t until_ns)
{
    if (sim->view.event_seq != sim->snap.event_seq) return TITHE_WAKE_EVENT;
    uint64_t now_ns = sim_clock();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    uint64_t real_ms = left_ns / NS_PER_MS * sim->options.step_ms / sim->options.tick_ms;
    if (sim->input_ended) {
        /* only the clock is left to wait for */
        struct timespec t = {(time_t)(real_ms / 1000), (long)(real_ms % 1000 * NS_PER_MS)};
        nanosleep(&t, NULL);
    } else if (input_waits((int)(real_ms + (real_ms > 0)))) {
        return TITHE_WAKE_INPUT;
    }
    if (sim->options.step_ms == 0) sim_pass(sim, until_ns);
    sim->ticks_done++;
    return TITHE_WAKE_TIME;
}

static int64_t sim_read(void *bytes, size_t size_bytes)
{
    if (!input_waits(0)) return 0;
    ssize_t n = read(STDIN_FILENO, bytes, size_bytes);
    if (n <= 0) sim->input_ended = true;
    return n > 0 ? n : 0;
}

static bool sim_finished(void)
{
    if (sim->shut_down) return true;
    return sim->options.ticks != 0 ? sim->ticks_done >= sim->options.ticks : sim->input_ended;
}

static void on_alarm(int signal)
{
    (void)signal;
    budget_alarm();
}

static struct timeval milliseconds(uint64_t ms)
{
    return (struct timeval){(time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000)};
}

/* The budget, CPU time: the first SIGVTALRM is the alarm, the second kills the process, whatever state it is in. */
static int64_t sim_phase(uint64_t phase)
{
    uint64_t ms = phase == TITHE_PHASE_POLICY ? sim->options.budget_ms : 0, first = ms / TITHE_ALARM_PART;
    if (first == 0) first = ms;
    struct itimerval timer = {.it_value = milliseconds(first), .it_interval = milliseconds(ms - first)};
    if (ms != 0)
        sigaction(SIGVTALRM, &(struct sigaction){.sa_handler = on_alarm, .sa_flags = (int)SA_RESETHAND},
                  NULL);
    setitimer(ITIMER_VIRTUAL, &timer, NULL);
    return 0;
}

/* ---- Plans and management ----------------------------------------------- */

static int64_t sim_plan(const struct tithe_action *actions, uint64_t count, struct tithe_plan_result *result)
{
    if (rules_judge(&sim->snap, actions, count, result) != 0) {
        char text[TITHE_REASON_MAX];
        snprintf(text, sizeof text, "action %u: %s", result->first + 1,
                 name_of_refusal(result->why[result->first]));
        sim->snap.plans_refused++;
        sim_event(sim, TITHE_EVENT_PLAN_REFUSED, 0, result->refused, 0, text);
        return -TITHE_EINVAL;
    }
    for (uint64_t i = 0; i < count; i++) sim_do(sim, &actions[i]);
    sim->snap.plans_applied++;
    return 0;
}

static int64_t shut_down(struct tithe_mgmt *m)
{
    sim->shut_down = true;
    sim->exit_status = (int)m->u.set.value;
    return 0;
}

static int64_t ledger(struct tithe_mgmt *m)
{
    struct tithe_ledger *l = &m->u.ledger;
    const struct tithe_snapshot *snap = &sim->snap;
    *l = (struct tithe_ledger){.total_pages = snap->total_pages,
                               .free_pages = snap->free_pages,
                               .core_pages = snap->core_pages,
                               .table_pages = snap->overhead_pages,
                               .guest_pages = snap->guest_pages};
    for (uint32_t i = 0; i < snap->vm_count; i++) l->ballooned_entries += snap->vm[i].ballooned_pages;
    for (uint32_t i = 0; i < snap->vm_count; i++) l->swapped_entries += snap->vm[i].swapped_pages;
    for (uint32_t i = 0; i < snap->vm_count; i++) l->compressed_entries += snap->vm[i].compressed_pages;
    uint64_t sum = l->free_pages + l->core_pages + l->table_pages + l->guest_pages;
    l->differences = sum != l->total_pages;
    if (l->differences) text_copy(l->first, sizeof l->first, "the parts do not add up to the whole");
    return 0;
}

static int64_t stats(struct tithe_mgmt *m)
{
    static const char *const names[] = {"sim.ticks", "sim.deaths"};
    const uint64_t values[] = {sim->ticks_done, sim->snap.steward_restarts};
    uint32_t i = m->u.stat.index;
    if (i >= sizeof names / sizeof *names) return -TITHE_ENOENT;
    text_copy(m->u.stat.name, sizeof m->u.stat.name, names[i]);
    m->u.stat.value = values[i];
    return 0;
}

static int64_t do_op(struct tithe_mgmt *m)
{
    switch (m->op) {
    case TITHE_OP_CREATE:
    case TITHE_OP_DESTROY:
    case TITHE_OP_PAUSE:
    case TITHE_OP_UNPAUSE:
    case TITHE_OP_SUSPEND:
    case TITHE_OP_RESUME:
    case TITHE_OP_SET_TARGET:
    case TITHE_OP_SET_MAX:
    case TITHE_OP_SET_MIN:
    case TITHE_OP_SET_SHARES:
    case TITHE_OP_SET_GROUP:
    case TITHE_OP_SET_CPU_SHARES: return sim_vm_op(sim, m);
    case TITHE_OP_LEDGER: return ledger(m);
    case TITHE_OP_STATS: return stats(m);
    case TITHE_OP_SHUTDOWN: return shut_down(m);
    case TITHE_OP_POLICY_STAGE:
    case TITHE_OP_POLICY_ACTIVATE:
    case TITHE_OP_POLICY_CONFIRM:
    case TITHE_OP_POLICY_ROLLBACK:
    case TITHE_OP_POLICY_READ:
    case TITHE_OP_POLICY_INFO:
    case TITHE_OP_POLICY_SAVE:
    case TITHE_OP_POLICY_SAVED: return sim_policy_op(sim, m);
    default: return sim_store_op(sim, m);
    }
}

/* Exactly once, as struct tithe_mgmt says. */
static int64_t sim_mgmt(struct tithe_mgmt *m)
{
    m->reason[0] = 0;
    m->repeated = 0;
    if (m->op == TITHE_OP_KILL_STEWARD) {
        sim->killed = true;
        _exit(1);
    }
    if (m->session == 0) return do_op(m);
    unsigned slot = 0;
    for (unsigned i = 0; i < SIM_SESSIONS_MAX; i++) {
        if (sim->done[i].session == m->session) {
            slot = i;
            break;
        }
        if (sim->done[i].used < sim->done[slot].used) slot = i;
    }
    bool known = sim->done[slot].session == m->session;
    if (known && m->request < sim->done[slot].request) {
        sim_why(m, "a request of this session with a higher number has been done");
        return -TITHE_ESTALE;
    }
    if (known && m->request == sim->done[slot].request) {
        m->repeated = 1;
        m->vm = sim->done[slot].vm;
        if (m->op == TITHE_OP_CREATE) m->u.create.id = m->vm;
        memcpy(m->reason, sim->done[slot].reason, sizeof m->reason);
        return sim->done[slot].result;
    }
    sim->done[slot].session = m->session;
    sim->done[slot].request = m->request;
    sim->done[slot].used = ++sim->done_clock;
    int64_t result = do_op(m);
    sim->done[slot].result = result;
    sim->done[slot].vm = m->op == TITHE_OP_CREATE ? m->u.create.id : m->vm;
    memcpy(sim->done[slot].reason, m->reason, sizeof m->reason);
    return result;
}

const struct machine *sim_machine(struct sim *s)
{
    static struct machine machine = {.wait = sim_wait,
                                     .refresh = sim_refresh,
                                     .plan = sim_plan,
                                     .mgmt = sim_mgmt,
                                     .phase = sim_phase,
                                     .read = sim_read,
                                     .finished = sim_finished};
    sim = s;
    machine.snapshot = &s->view;
    machine.note = &s->note;
    if (s->real_start_ns == 0) s->real_start_ns = real_ns();
    sim_refresh();
    return &machine;
}
