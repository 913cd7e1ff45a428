/* SPDX-License-Identifier: MIT */
#include "loglines.h"

#include <stdio.h>
#include <string.h>

static void whole_line(struct log_watch *w)
{
    int status;
    char after;
    /* The core may put a time in front of its lines. */
    const char *said = strstr(w->line, "tithe: ");

    if (said == NULL) return;
    if (strcmp(said, "tithe: ready") == 0) w->ready = true;
    if (sscanf(said, "tithe: exit %d%c", &status, &after) == 1) {
        w->exited = true;
        w->exit_status = status;
    }
}

void log_watch(struct log_watch *w, const char *text, size_t bytes)
{
    size_t i;

    for (i = 0; i < bytes; i++) {
        if (text[i] == '\r') continue;
        if (text[i] == '\n') {
            w->line[w->line_bytes] = '\0';
            whole_line(w);
            w->line_bytes = 0;
        } else if (w->line_bytes < sizeof w->line - 1) {
            w->line[w->line_bytes++] = text[i];
        }
    }
}
