/* SPDX-License-Identifier: MIT
 *
 * `tithe stop`: asks the machine to shut down, and if it is one of ours waits until its emulator has ended.
 */
#include "cmd_stop.h"

#include <signal.h>
#include <stdlib.h>

#include "clock.h"
#include "cmd_run.h"
#include "json.h"
#include "machine.h"

#define ENDS_WITHIN_S 30.0

const struct option_spec stop_options_table[] = {
    {"force", NULL, "end the emulator when the machine does not answer or does not end"},
    {NULL, NULL, NULL},
};

static enum status ask(struct context *t, struct error *e)
{
    struct client *c;
    struct answer a;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    client_begin(c, "shutdown");
    s = client_call(c, &a, e);
    answer_free(&a);
    return s;
}

/* The broker holds the lock, so the pid it wrote is its own. */
static void force(const struct machine *m)
{
    char text[32];

    if (machine_is_up(m) && machine_get(m, "pid", text, sizeof text) && atoi(text) > 1)
        kill(atoi(text), SIGTERM);
}

static bool wait_down(const struct machine *m)
{
    double until = clock_now_s() + ENDS_WITHIN_S;

    while (machine_is_up(m) && clock_now_s() < until) clock_sleep_s(0.05);
    return !machine_is_up(m);
}

enum status stop_machine(struct context *t, bool forced, struct error *e)
{
    bool elsewhere = t->connect != NULL || (t->machine == NULL && getenv("TITHE_CONNECT") != NULL);
    struct machine m;
    enum status s;

    if (!elsewhere) {
        struct conn probe;

        s = machine_find(&m, t->machine, e);
        if (s == STATUS_OK) s = conn_open_machine(t->machine, &probe, e);
        if (s != STATUS_OK) return s;
        conn_close(&probe);
    }
    s = ask(t, e);
    if (s == STATUS_OK && elsewhere) error_set(e, s, "ok", "machine", "", "told to shut down");
    if (elsewhere) return s;
    /* The answer may be lost on the way out: what counts is that it ends. */
    if (s != STATUS_OK && s != STATUS_CONNECT && !forced) return s;
    if (s == STATUS_CONNECT && machine_is_up(&m) && !forced)
        return error_set(e, s, e->code, e->thing, "'tithe stop --force' ends its emulator", "%s", e->reason);
    if (s != STATUS_OK && forced) force(&m);
    if (!wait_down(&m) && forced) force(&m);
    if (!wait_down(&m))
        return error_set(e, STATUS_EMULATOR, "still-up", "machine", "'tithe stop --force' ends its emulator",
                         "said it would shut down, but its emulator still runs");
    s = run_result(&m, e);
    return forced ? STATUS_OK : s;
}

enum status cmd_stop(struct context *t, struct error *e)
{
    enum status s = stop_machine(t, option_given(t->options, "force"), e);

    if (s != STATUS_OK) return s;
    if (t->json) {
        struct json j = json_begin(stdout);

        json_text(&j, "result", e->reason);
        json_end(&j);
    } else {
        printf("%s: %s\n", e->thing, e->reason);
    }
    return STATUS_OK;
}
