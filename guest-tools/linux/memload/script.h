/* SPDX-License-Identifier: MIT
 *
 * A workload script: phases separated by commas. script_help[] describes the language.
 */
#ifndef MEMLOAD_SCRIPT_H
#define MEMLOAD_SCRIPT_H

#include "load.h"

#define SCRIPT_DEPTH_MAX 8

extern const char script_help[];

/* Runs the script; with load null only checks it. 0, or -1 after saying what is wrong. */
int script_run(const char *script, struct load *load);

#endif
