/* SPDX-License-Identifier: MIT
 *
 * A byte stream to a machine: a unix socket, a TCP port, a serial line, or the input and output of a command.
 */
#ifndef CONSOLE_CONN_H
#define CONSOLE_CONN_H

#include <sys/types.h>

#include "error.h"

struct conn {
    int in, out;      /* the same descriptor, except for exec: */
    pid_t child;      /* of exec:, else 0 */
    char peer[160];   /* what errors call it */
    char machine[40]; /* name of the machine, when its own broker is at the other end; else "" */
};

#define CONN_FORMS "give unix:PATH, tcp:HOST:PORT, tty:DEVICE[,BAUD] or exec:COMMAND"

/* Opens "unix:PATH", "tcp:HOST:PORT", "tty:/dev/ttyS0[,115200]" or "exec:COMMAND" (run by sh). */
enum status conn_open(const char *where, struct conn *c, struct error *e);

/* The console socket of a machine that `tithe run` started; NULL: the last one. */
enum status conn_open_machine(const char *name, struct conn *c, struct error *e);

void conn_close(struct conn *c);

#endif
