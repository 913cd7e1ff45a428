/* SPDX-License-Identifier: MIT
 *
 * The table of verbs, and what a verb gets to work with.
 */
#ifndef CONSOLE_COMMAND_H
#define CONSOLE_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "client.h"
#include "error.h"
#include "options.h"

struct context {
    const char *connect; /* --connect, or NULL */
    const char *machine; /* --machine, or NULL */
    double patience_s;   /* for one answer, with all its repetitions */
    bool json;
    struct client *client; /* connected when a verb first needs it: context_client() */
    const struct options *options;
};

struct command {
    const char *name; /* one word, or two: "policy check" */
    const char *summary;
    const char *synopsis;    /* what follows "tithe NAME" */
    const char *description; /* paragraphs; "" when the summary says it all */
    const char *examples;    /* lines */
    const struct option_spec *options;
    int args_min, args_max;
    enum status (*run)(struct context *t, struct error *e);
};

/* Groups of verbs, in the order of `tithe --help`. */
struct command_group {
    const char *title;
    const struct command *commands; /* a NULL name ends them */
};
extern const struct command_group command_groups[]; /* a NULL title ends them */
extern const struct command vm_commands[], memory_commands[], policy_commands[], host_commands[],
    machine_commands[];

/* Options that every verb takes. */
extern const struct option_spec common_options[];

/* Runs one command line (no program name, words reordered in place): what `tithe` and its prompt both do.
 * Errors are printed here. The connection stays open in *t. */
enum status command_line(struct context *t, char **words, int count);

/* The connection, made now if there is none yet. It belongs to the context. */
enum status context_client(struct context *t, struct client **c, struct error *e);

/* An argument by its index. */
const char *context_arg(const struct context *t, int index);

void help_overview(void);
void help_command(const struct command *c);

#endif
