/* SPDX-License-Identifier: MIT
 *
 * What `tithe top` shows, as lines of text for a given width.
 */
#ifndef CONSOLE_TOPVIEW_H
#define CONSOLE_TOPVIEW_H

#include <stdio.h>

#include "sample.h"

#define TOP_EVENTS_MAX  6u
#define TOP_EVENT_CHARS 160u

struct topview {
    int width;
    unsigned sort; /* index of the column */
    bool reverse;
    unsigned event_count;
    char events[TOP_EVENTS_MAX][TOP_EVENT_CHARS]; /* the newest last */
};

/* How many columns there are to sort by, and what one is called. */
unsigned topview_columns(void);
const char *topview_column(unsigned index);

/* Writes the lines. `before` is an earlier sample, for rates, or NULL. Returns the index of the line with the
 * columns' headings. */
int topview_write(const struct topview *v, const struct sample *now, const struct sample *before, FILE *out);

#endif
