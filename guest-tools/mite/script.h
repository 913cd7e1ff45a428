// SPDX-License-Identifier: MIT
// The workload script: verbs separated by commas, arguments by colons (README.md).
#ifndef MITE_SCRIPT_H
#define MITE_SCRIPT_H

#include <stdbool.h>

#include "text.h"

#define EXIT_BAD_SCRIPT 2

// Prints what is wrong with `script` and returns false, without doing any of it.
bool script_check(struct span script);

// Runs a script that script_check() accepted.
void script_run(struct span script);

// Prints the line for a script, or another word of the command line, that cannot be understood.
void script_complain(struct span what, const char *reason);

#endif
