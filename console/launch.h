/* SPDX-License-Identifier: MIT
 *
 * From what a run was asked for to the emulator's command line, by way of the configurations in
 * images/emulators.
 */
#ifndef CONSOLE_LAUNCH_H
#define CONSOLE_LAUNCH_H

#include "emulator.h"

#define LAUNCH_ARGS_MAX 96u

struct launch {
    const struct run_options *options;
    const struct machine *machine;
    unsigned
        serial_port; /* TCP port where we wait for Bochs; else we wait at the machine's "serial" socket */
    /* Made by launch_make(): */
    char *argv[LAUNCH_ARGS_MAX]; /* ends with NULL */
    size_t argc;
};

/* Fills the configuration, writing files into the machine's directory where the emulator wants files. */
enum status launch_make(struct launch *l, struct error *e);
void launch_free(struct launch *l);

#endif
