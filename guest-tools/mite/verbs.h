// SPDX-License-Identifier: MIT
// What a script can say.
#ifndef MITE_VERBS_H
#define MITE_VERBS_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define VERB_ARGUMENTS 3

struct verb_call {
    struct span arguments[VERB_ARGUMENTS]; // those not given are empty
    bool dry;                              // only judge the arguments
};

struct verb {
    const char *name;
    unsigned int least_arguments;
    unsigned int most_arguments;
    // NULL, or what is wrong with the arguments.
    const char *(*run)(const struct verb_call *call);
};

// NULL if there is no such verb.
const struct verb *verb_find(struct span name);

#endif
