/* SPDX-License-Identifier: MIT
 *
 * Command lines: tables of options, and what was given.
 */
#ifndef CONSOLE_OPTIONS_H
#define CONSOLE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

struct option_spec {
    const char *name;  /* without the dashes; NULL ends a table */
    const char *value; /* what its value is called, NULL: takes none */
    const char *help;
};

#define OPTIONS_MAX 24u

/* What was given. Texts are those of argv. */
struct options {
    struct {
        const char *name;
        const char *value; /* "" for an option without one */
    } given[OPTIONS_MAX];
    size_t given_count;
    char **args; /* the rest, in order */
    int arg_count;
};

/* Sorts argv (count of them, no program name; reordered in place) by up to two tables (the second may be
 * NULL).
 * "--name value" and "--name=value" both do; "-5M" is an argument (to be refused as such); "--" ends the
 * options, and so does the first argument when stop_at_first. */
enum status options_parse(struct options *o, char **argv, int count, const struct option_spec *specs,
                          const struct option_spec *more, bool stop_at_first, struct error *e);

/* The value that was given last, or NULL. */
const char *option_value(const struct options *o, const char *name);
bool option_given(const struct options *o, const char *name);

#endif
