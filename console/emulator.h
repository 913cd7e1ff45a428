/* SPDX-License-Identifier: MIT
 *
 * Starting an emulator: which one, with what arguments, and where its serial line ends up.
 */
#ifndef CONSOLE_EMULATOR_H
#define CONSOLE_EMULATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "machine.h"
#include "platform.h"

/* What `tithe run` was asked for. */
struct run_options {
    struct platform platform;
    uint64_t memory_mib;
    unsigned cpus;
    const char *cmdline; /* for the core; NULL: the image's own */
    const char *iso;     /* NULL: the one that was built */
    const char *disk;    /* image of the first IDE disk; NULL: none */
    const char *sim;     /* with HW_SIM: a shell command; NULL: the steward's simulator */
    bool deterministic;  /* time is the instruction count */
};

/* A started emulator. */
struct emulator {
    pid_t pid;
    int serial_listener; /* the emulator connects here, -1: not needed */
    int serial;          /* its serial line, -1 until it has connected */
};

/* Finds everything the run needs (programs, firmware, images) before anything is started. */
enum status emulator_check(const struct run_options *o, struct error *e);

/* Starts it as a child that dies with this process. What it prints goes to the machine's "output" file. */
enum status emulator_start(const struct run_options *o, const struct machine *m, struct emulator *emu,
                           struct error *e);

/* What the wait status of an ended emulator means for a machine whose log did or did not have the
 * "tithe: exit STATUS" line. STATUS_OK only when text and status agree that all is well; the reason is put
 * into *e in any case. */
enum status emulator_verdict(enum hw hw, int wait_status, bool said_exit, int said_status, struct error *e);

#endif
