/* SPDX-License-Identifier: MIT
 *
 * `tithe top`: live on a terminal, else one plain snapshot after the other.
 */
#include "cmd_top.h"

#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "size.h"
#include "topfeed.h"

#define DELAY_DEFAULT_S 2.0
#define DELAY_PLAIN_S   5.0
#define WIDTH_PLAIN     120

const struct option_spec top_options[] = {
    {"once", NULL, "one snapshot (rates need two: see --count)"},
    {"count", "N", "that many snapshots"},
    {"delay", "SECONDS", "between two (default: 2 on a terminal, else 5)"},
    {"width", "COLUMNS", "of a plain snapshot (default: 120, or $COLUMNS)"},
    {NULL, NULL, NULL},
};

static int plain_width(const struct options *o)
{
    const char *text = option_value(o, "width");
    int width;

    if (text == NULL) text = getenv("COLUMNS");
    width = text != NULL ? atoi(text) : 0;
    return width >= 20 && width <= 1000 ? width : WIDTH_PLAIN;
}

static enum status plain(struct context *t, uint64_t count, double delay_s, struct error *e)
{
    static struct topfeed f;
    struct topview v = {.width = plain_width(t->options)};
    uint64_t i;
    enum status s = context_client(t, &f.client, e);

    for (i = 0; s == STATUS_OK && (count == 0 || i < count); i++) {
        if (i > 0) clock_sleep_s(delay_s);
        s = topfeed_take(&f, &v, e);
        if (s != STATUS_OK) break;
        if (t->json) {
            listing_json(&f.raw);
        } else {
            topview_write(&v, topfeed_now(&f), topfeed_before(&f), stdout);
            if (count != 1) putchar('\n');
        }
        if (fflush(stdout) != 0) break; /* nobody reads on */
    }
    topfeed_free(&f);
    f = (struct topfeed){0};
    return s;
}

enum status cmd_top(struct context *t, struct error *e)
{
    const char *count_text = option_value(t->options, "count"),
               *delay_text = option_value(t->options, "delay");
    bool terminal =
        isatty(0) && isatty(1) && !t->json && count_text == NULL && !option_given(t->options, "once");
    enum top_end end = TOP_NOT_SHOWN;
    uint64_t count = 0, delay = 0;
    enum status s = STATUS_OK;

    if (count_text != NULL) s = number_parse(count_text, "count", 1, 1000000, &count, e);
    if (s == STATUS_OK && delay_text != NULL) s = number_parse(delay_text, "delay", 1, 86400, &delay, e);
    if (s != STATUS_OK) return s;
    if (option_given(t->options, "once")) count = 1;
    if (terminal) s = top_screen(t, delay > 0 ? (double)delay : DELAY_DEFAULT_S, &end, e);
    if (s != STATUS_OK || end != TOP_NOT_SHOWN) return s;
    return plain(t, count, delay > 0 ? (double)delay : DELAY_PLAIN_S, e);
}
