/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_SPAWN_H
#define CONSOLE_SPAWN_H

#include <sys/types.h>

struct spawn {
    char *const *argv;
    const char *dir; /* working directory, NULL: ours */
    int in, out;     /* become its stdin, and its stdout; stderr goes to err. -1: /dev/null */
    int err;
};

/* Starts a program that is killed when this process dies, however it dies. Returns its pid, or -1 with errno
 * when it cannot be run. */
pid_t spawn(const struct spawn *s);

#endif
