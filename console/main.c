/* SPDX-License-Identifier: MIT
 *
 * tithe: the console. Finds the verb on the command line and runs it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "json.h"
#include "size.h"

#define PATIENCE_DEFAULT_S 30.0
#define PATIENCE_MAX_S     86400u

const struct option_spec common_options[] = {
    {"connect", "WHERE",
     "the machine's serial line: unix:PATH, tcp:HOST:PORT, tty:DEVICE[,BAUD] or exec:COMMAND"},
    {"machine", "NAME", "a machine that 'tithe run' started (default: the last one)"},
    {"patience", "SECONDS", "how long to wait for one answer (default: 30)"},
    {"json", NULL, "print JSON; errors too, as {\"error\":{...}}"},
    {"help", NULL, "show this"},
    {NULL, NULL, NULL},
};

const char *context_arg(const struct context *t, int index)
{
    return index < t->options->arg_count ? t->options->args[index] : NULL;
}

enum status context_client(struct context *t, struct client **c, struct error *e)
{
    const char *where = t->connect;
    struct conn conn;
    enum status s;

    *c = t->client;
    if (t->client != NULL) return STATUS_OK;
    /* A machine named on the command line wins over the environment. */
    if (where == NULL && t->machine == NULL) where = getenv("TITHE_CONNECT");
    s = where != NULL && *where != '\0' ? conn_open(where, &conn, e)
                                        : conn_open_machine(t->machine, &conn, e);
    if (s != STATUS_OK) return s;
    *c = t->client = client_new(&conn, t->patience_s);
    if (*c != NULL) return STATUS_OK;
    conn_close(&conn);
    return error_set(e, STATUS_CONNECT, "no-memory", "connection", "", "no memory for it");
}

/* "policy check" before "policy": the longest name that the words begin with. *words is how many it took. */
static const struct command *find_command(char *const *word, int count, int *words)
{
    const struct command_group *g;
    const struct command *c, *found = NULL;
    char two[64] = "";

    if (count > 1) snprintf(two, sizeof two, "%s %s", word[0], word[1]);
    for (g = command_groups; g->title != NULL; g++) {
        for (c = g->commands; c->name != NULL; c++) {
            if (strcmp(c->name, two) == 0) {
                *words = 2;
                return c;
            }
            if (strcmp(c->name, word[0]) != 0) continue;
            *words = 1;
            found = c;
        }
    }
    return found;
}

/* Names what may have been meant: the second words of "policy". */
static enum status unknown_verb(char *const *word, int count, struct error *e)
{
    const struct command_group *g;
    const struct command *c;
    size_t n = strlen(word[0]);
    char thing[sizeof e->thing], forms[sizeof e->mend] = "";

    for (g = command_groups; g->title != NULL; g++)
        for (c = g->commands; c->name != NULL; c++)
            if (strncmp(c->name, word[0], n) == 0 && c->name[n] == ' ')
                snprintf(forms + strlen(forms), sizeof forms - strlen(forms), "%s%s", *forms ? ", " : "",
                         c->name);
    if (*forms == '\0') {
        snprintf(thing, sizeof thing, "%s", word[0]);
        return error_set(e, STATUS_USAGE, "unknown-verb", thing, "'tithe --help' lists the verbs",
                         "unknown verb");
    }
    snprintf(thing, sizeof thing, "%s%s%s", word[0], count > 1 ? " " : "", count > 1 ? word[1] : "");
    memmove(forms + 10, forms, strlen(forms) + 1 < sizeof forms - 10 ? strlen(forms) + 1 : sizeof forms - 11);
    memcpy(forms, "there are ", 10);
    return error_set(e, STATUS_USAGE, "unknown-verb", thing, forms, "unknown verb");
}

static enum status check_args(const struct command *c, const struct options *o, struct error *e)
{
    char mend[sizeof e->mend];

    if (o->arg_count >= c->args_min && (c->args_max < 0 || o->arg_count <= c->args_max)) return STATUS_OK;
    snprintf(mend, sizeof mend, "say: tithe %s %s", c->name, c->synopsis);
    if (o->arg_count < c->args_min)
        return error_set(e, STATUS_USAGE, "usage", c->name, mend, "something is missing after it");
    return error_set(e, STATUS_USAGE, "usage", o->args[c->args_max], mend, "one argument too many");
}

/* Options that every verb takes, in front of the verb or behind it. */
static enum status take_common(struct context *t, const struct options *o, struct error *e)
{
    const char *patience = option_value(o, "patience");
    uint64_t seconds;

    if (option_given(o, "connect")) t->connect = option_value(o, "connect");
    if (option_given(o, "machine")) t->machine = option_value(o, "machine");
    if (option_given(o, "json")) t->json = true;
    if (patience == NULL) return STATUS_OK;
    if (number_parse(patience, "patience", 1, PATIENCE_MAX_S, &seconds, e) != STATUS_OK) return e->status;
    t->patience_s = (double)seconds;
    return STATUS_OK;
}

static enum status one_command(struct context *t, char **words, int count, struct error *e)
{
    struct options before, o;
    const struct command *c;
    int taken = 0;
    enum status s = options_parse(&before, words, count, common_options, NULL, true, e);

    if (s == STATUS_OK) s = take_common(t, &before, e);
    if (s != STATUS_OK) return s;
    if (before.arg_count == 0 || strcmp(before.args[0], "help") == 0) {
        if (before.arg_count == 0 && !option_given(&before, "help"))
            return error_set(e, STATUS_USAGE, "usage", "", "'tithe --help' lists the verbs", "no verb given");
        c = before.arg_count > 1 ? find_command(before.args + 1, before.arg_count - 1, &taken) : NULL;
        if (before.arg_count > 1 && c == NULL) return unknown_verb(before.args + 1, before.arg_count - 1, e);
        if (c == NULL)
            help_overview();
        else
            help_command(c);
        return STATUS_OK;
    }
    c = find_command(before.args, before.arg_count, &taken);
    if (c == NULL) return unknown_verb(before.args, before.arg_count, e);
    s = options_parse(&o, before.args + taken, before.arg_count - taken, c->options, common_options, false,
                      e);
    if (s == STATUS_OK && (option_given(&o, "help") || option_given(&before, "help"))) {
        help_command(c);
        return STATUS_OK;
    }
    if (s == STATUS_OK) s = take_common(t, &o, e);
    if (s == STATUS_OK) s = check_args(c, &o, e);
    if (s != STATUS_OK) return s;
    t->options = &o;
    s = c->run(t, e);
    t->options = NULL;
    return s;
}

enum status command_line(struct context *t, char **words, int count)
{
    struct error e = {0};
    const char *connect = t->connect, *machine = t->machine;
    bool json = t->json;
    enum status s = one_command(t, words, count, &e);

    fflush(stdout);
    if (s != STATUS_OK && e.reason[0] != '\0') {
        error_print(stderr, &e);
        if (t->json) json_error(stdout, &e);
    }
    /* At a prompt, the next line begins as this one did. */
    t->connect = connect;
    t->machine = machine;
    t->json = json;
    return s;
}

int main(int argc, char **argv)
{
    struct context t = {.patience_s = PATIENCE_DEFAULT_S};
    enum status s;
    int fd;

    /* Whoever starts us with closed descriptors must not find its socket used as stdout. */
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= 2);
    if (fd > 2) close(fd);
    signal(SIGPIPE, SIG_IGN);
    s = command_line(&t, argv + 1, argc - 1);
    client_free(t.client);
    if ((fflush(stdout) != 0 || ferror(stdout)) && s == STATUS_OK) {
        fputs("tithe: the output could not be written.\n", stderr);
        s = STATUS_USAGE;
    }
    return (int)s;
}
