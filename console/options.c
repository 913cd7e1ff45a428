/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <string.h>

static const struct option_spec *find(const struct option_spec *specs, const char *name, size_t n)
{
    for (; specs != NULL && specs->name != NULL; specs++)
        if (strlen(specs->name) == n && strncmp(specs->name, name, n) == 0) return specs;
    return NULL;
}

static enum status usage(struct error *e, const char *option, const char *reason)
{
    return error_set(e, STATUS_USAGE, "usage", option, "--help lists the options", "%s", reason);
}

enum status options_parse(struct options *o, char **argv, int count, const struct option_spec *specs,
                          const struct option_spec *more, bool stop_at_first, struct error *e)
{
    bool only_args = false;
    int i, kept = 0;

    memset(o, 0, sizeof *o);
    for (i = 0; i < count; i++) {
        const struct option_spec *spec;
        const char *name = argv[i] + 2, *value;
        size_t n;

        if (only_args || argv[i][0] != '-' || argv[i][1] == '\0' ||
            strchr("0123456789.", argv[i][1]) != NULL) {
            argv[kept++] = argv[i];
            if (stop_at_first) only_args = true;
            continue;
        }
        if (strcmp(argv[i], "--") == 0) {
            only_args = true;
            continue;
        }
        if (strcmp(argv[i], "-h") == 0)
            name = "help";
        else if (argv[i][1] != '-')
            return usage(e, argv[i], "unknown option");
        n = strcspn(name, "=");
        value = name[n] == '=' ? name + n + 1 : NULL;
        spec = find(specs, name, n);
        if (spec == NULL) spec = find(more, name, n);
        if (spec == NULL) return usage(e, argv[i], "unknown option");
        if (spec->value == NULL && value != NULL) return usage(e, argv[i], "takes no value");
        if (spec->value != NULL && value == NULL) {
            if (i + 1 == count) return usage(e, argv[i], "needs a value");
            value = argv[++i];
        }
        if (o->given_count == OPTIONS_MAX) return usage(e, argv[i], "too many options");
        o->given[o->given_count].name = spec->name;
        o->given[o->given_count++].value = value != NULL ? value : "";
    }
    o->args = argv;
    o->arg_count = kept;
    return STATUS_OK;
}

const char *option_value(const struct options *o, const char *name)
{
    size_t i;

    for (i = o->given_count; i > 0; i--)
        if (strcmp(o->given[i - 1].name, name) == 0) return o->given[i - 1].value;
    return NULL;
}

bool option_given(const struct options *o, const char *name)
{
    return option_value(o, name) != NULL;
}
