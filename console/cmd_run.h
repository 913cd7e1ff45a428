/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_RUN_H
#define CONSOLE_CMD_RUN_H

#include "command.h"
#include "emulator.h"
#include "machine.h"

/* Everything `tithe run` was told. Texts are borrowed from the command line. */
struct run_start {
    struct run_options options;
    struct machine machine;
    double timeout_s;
    bool foreground, keep_log;
    bool quiet;    /* show neither log nor report */
    bool tethered; /* end the machine when this process ends, until run_release() */
    char why[256]; /* what --hw auto took; "" */
};

extern const struct option_spec run_options_table[];

enum status run_start_parse(const struct options *o, const char *machine, struct run_start *start,
                            struct error *e);

/* Starts it and returns when it is ready, or with `foreground` when it has ended. */
enum status run_machine(const struct run_start *start, bool json, struct error *e);

/* Lets a tethered machine outlive this process. */
void run_release(void);

/* How a machine that is no longer up has ended; forgets its state directory when all was well and nobody
 * wanted to keep it. */
enum status run_result(const struct machine *m, struct error *e);

enum status cmd_run(struct context *t, struct error *e);

#endif
