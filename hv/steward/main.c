/* SPDX-License-Identifier: MIT
 *
 * The steward: answers the management line and runs the policy.
 */
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include "names.h"
#include "serve.h"
#include "sim/sim.h"

#define EVENTS_EACH_MAX 16u /* in one go; more are told as "many" */
#define EVENT_PAUSE_DIV                                                                                      \
    10u /* between two goes at least this part of a tick, so that no guest can keep us busy */

static struct steward steward;

/* What policies are told of. Not the steward's own doings: a policy that answers a
 * refused plan with another one would never come to an end. */
static bool concerns_policy(uint32_t kind)
{
    switch (kind) {
    case TITHE_EVENT_POLICY_ACTIVE:
    case TITHE_EVENT_POLICY_ROLLBACK:
    case TITHE_EVENT_POLICY_GOOD:
    case TITHE_EVENT_PLAN_REFUSED:
    case TITHE_EVENT_STEWARD_DIED: return false;
    default: return true;
    }
}

/* Tells the policy of events from `seq` on. Returns the number of the first it was not told of. */
static uint64_t tell_events(struct steward *s, uint64_t seq)
{
    static struct tithe_event list[EVENTS_EACH_MAX];
    static struct tithe_mgmt m;
    unsigned count = 0;
    uint64_t end = s->machine->snapshot->event_seq;
    bool many = false;
    while (seq < end) {
        memset(&m, 0, sizeof m);
        m.op = TITHE_OP_EVENT_READ;
        m.u.event.seq = seq;
        if (s->machine->mgmt(&m) < 0) break;
        seq = m.u.event.seq + 1; /* events that have been overwritten are skipped: then it was a burst */
        if (!concerns_policy(m.u.event.kind)) continue;
        m.u.event.text[sizeof m.u.event.text - 1] = 0;
        many = count == EVENTS_EACH_MAX;
        if (many) break;
        list[count++] = m.u.event;
    }
    if (many) {
        policies_event(&s->policies, "many", NULL);
        return end;
    }
    for (unsigned i = 0; i < count; i++) policies_event(&s->policies, name_of_event(list[i].kind), &list[i]);
    return end;
}

static void serve_input(struct steward *s)
{
    static uint8_t bytes[TITHE_IO_MAX];
    int64_t n;
    while ((n = s->machine->read(bytes, sizeof bytes)) > 0) serve_bytes(s, bytes, (size_t)n);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void steward_run(const struct machine *machine)
{
    struct steward *s = &steward;
    const struct tithe_snapshot *snap = machine->snapshot;
    s->machine = machine;
    policies_start(&s->policies, machine);
    serve_started(s);
    uint64_t next_tick_ns = 0; /* at once: after a death the policy is back before anyone misses it */
    uint64_t events_told = snap->event_seq, next_event_ns = 0;
    while (!machine->finished()) {
        machine->refresh();
        if (snap->now_ns >= next_tick_ns || s->tick_now) {
            s->tick_now = false;
            policies_tick(&s->policies);
            if (snap->now_ns >= next_tick_ns) next_tick_ns += snap->tick_ns;
            if (next_tick_ns <= snap->now_ns) next_tick_ns = snap->now_ns + snap->tick_ns;
            machine->refresh();
        }
        if (snap->event_seq != events_told && snap->now_ns >= next_event_ns) {
            events_told = tell_events(s, events_told);
            next_event_ns = snap->now_ns + snap->tick_ns / EVENT_PAUSE_DIV;
        }
        bool waiting = snap->event_seq != events_told;
        int64_t wake = s->tick_now
                           ? TITHE_WAKE_INPUT
                           : machine->wait(waiting ? sooner(next_tick_ns, next_event_ns) : next_tick_ns);
        if (wake > 0 && (wake & TITHE_WAKE_INPUT)) serve_input(s);
    }
}

int main(int argc, char **argv)
{
    /* One arena that grows by brk: no mmap per large block, nothing given back. */
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, -1);
    setvbuf(stderr, NULL, _IOLBF, 0);
    if (argc <= 1) {
        const struct machine *core = machine_core();
        if (core != NULL) steward_run(core);
    }
    return sim_main(argc, argv);
}
