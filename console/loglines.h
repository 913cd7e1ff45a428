/* SPDX-License-Identifier: MIT
 *
 * Looks for the two log lines that say how a machine is: "tithe: ready" and "tithe: exit STATUS".
 */
#ifndef CONSOLE_LOGLINES_H
#define CONSOLE_LOGLINES_H

#include <stdbool.h>
#include <stddef.h>

struct log_watch {
    bool ready;
    bool exited;
    int exit_status; /* of the last "tithe: exit" line */
    size_t line_bytes;
    char line[160];
};

/* Takes more of the log, in pieces of any size. */
void log_watch(struct log_watch *w, const char *text, size_t bytes);

/* Removes what would move the cursor or change colours on a user's terminal (firmware and GRUB write such):
 * ESC sequences and control characters but newline and tab. Works on pieces of any size; returns the new
 * length. */
struct log_clean {
    int state; /* 0: text, 1: after ESC, 2: in a sequence */
};
size_t log_clean(struct log_clean *c, char *text, size_t bytes);

#endif
