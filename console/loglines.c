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

size_t log_clean(struct log_clean *c, char *text, size_t bytes)
{
    size_t i, kept = 0;

    for (i = 0; i < bytes; i++) {
        unsigned char b = (unsigned char)text[i];

        if (b == 0x1b)
            c->state = 1;
        else if (c->state == 1)
            c->state = b == '[' || b == '(' || b == ')' ? 2 : 0;
        else if (c->state == 2)
            c->state = b >= 0x30 && b < 0x40 ? 2 : 0; /* parameters, then a letter */
        else if (b == '\n' || b == '\t' || (b >= 0x20 && b != 0x7f))
            text[kept++] = text[i];
    }
    return kept;
}
