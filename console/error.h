/* SPDX-License-Identifier: MIT
 *
 * One error: what it is about, why, and how to mend it. Functions that can fail return an exit status and
 * fill in a struct error of the caller's, so that the same failure can be printed, put into JSON, or
 * thrown into an experiment's Lua.
 */
#ifndef CONSOLE_ERROR_H
#define CONSOLE_ERROR_H

#include <stdio.h>

/* Exit statuses of `tithe`; `tithe --help` documents them. */
enum status {
    STATUS_OK = 0,
    STATUS_REFUSED = 1,  /* the machine said no, with a reason */
    STATUS_USAGE = 2,    /* the command line, or a file named on it, is at fault */
    STATUS_CONNECT = 3,  /* no machine, or no answer in time */
    STATUS_EMULATOR = 4, /* the emulator did not start, or the machine did not end well */
    STATUS_VERIFY = 5,   /* ledger differences, or a guest that found its data changed */
};

struct error {
    enum status status;
    char code[40];   /* a word for programs, e.g. "no-such-vm" */
    char thing[160]; /* what it is about, e.g. "VM 'a'" */
    char reason[512];
    char mend[512]; /* "" when there is nothing to advise */
};

/* Fills in *e and returns status. `format` makes the reason. Texts too long are cut. */
enum status error_set(struct error *e, enum status status, const char *code, const char *thing,
                      const char *mend, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* "tithe: thing: reason. Mend." on one line. */
void error_print(FILE *out, const struct error *e);

#endif
