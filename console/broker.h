/* SPDX-License-Identifier: MIT
 *
 * The broker: the one reader of a machine's serial line. It keeps the log, lets several consoles share the
 * line, and ends the emulator when it is told to, when its time is up, or when the command that started it
 * goes away.
 */
#ifndef CONSOLE_BROKER_H
#define CONSOLE_BROKER_H

#include "emulator.h"
#include "machine.h"

struct broker_job {
    const struct machine *machine;
    const struct run_options *options;
    double timeout_s; /* the machine is ended after this time */
    int leash; /* while `tethered`, the broker ends when the other end closes; a byte 'd' on it lets go */
};

/* Starts the emulator and serves until it has ended. Returns what goes into the machine's "result" file
 * (already written there): STATUS_OK when the machine ended well. */
enum status broker_run(const struct broker_job *job);

#endif
