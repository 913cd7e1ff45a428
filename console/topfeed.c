/* SPDX-License-Identifier: MIT */
#include "topfeed.h"

#include <string.h>

#include "cmd_host.h"
#include "fields.h"

/* A machine has a long history; top begins with the end of it. */
#define EVENTS_BEHIND 16u

static void add_event(struct topview *v, const cbor_item_t *event)
{
    char text[400];

    if (v->event_count == TOP_EVENTS_MAX) {
        memmove(v->events[0], v->events[1], sizeof v->events - sizeof v->events[0]);
        v->event_count--;
    }
    event_text(event, text, sizeof text);
    snprintf(v->events[v->event_count++], TOP_EVENT_CHARS, "%9.1f s  %.140s",
             (double)field_uint(event, "ns") / 1e9, text);
}

static enum status take_events(struct topfeed *f, struct topview *v, struct error *e)
{
    uint64_t newest = topfeed_now(f)->event_seq;

    if (f->next_event + EVENTS_BEHIND < newest) f->next_event = newest - EVENTS_BEHIND;
    while (f->next_event < newest) {
        struct cborx_writer *w = client_begin(f->client, "events");
        struct answer a = {0};
        enum status s;
        size_t i, n;

        cborx_put_uint(w, "seq", f->next_event);
        s = client_call(f->client, &a, e);
        n = field_count(a.ok, "events");
        for (i = 0; i < n; i++) add_event(v, field_at(a.ok, "events", i));
        if (s == STATUS_OK) f->next_event = field_uint(a.ok, "next");
        answer_free(&a);
        if (s != STATUS_OK || n == 0) return s;
    }
    return STATUS_OK;
}

enum status topfeed_take(struct topfeed *f, struct topview *v, struct error *e)
{
    enum status s;

    listing_free(&f->raw);
    s = sample_take(f->client, &f->samples[f->taken % 2], &f->raw, e);
    if (s != STATUS_OK) return s;
    f->taken++;
    return take_events(f, v, e);
}

void topfeed_free(struct topfeed *f)
{
    listing_free(&f->raw);
}

const struct sample *topfeed_now(const struct topfeed *f)
{
    return &f->samples[(f->taken + 1) % 2];
}

const struct sample *topfeed_before(const struct topfeed *f)
{
    return f->taken > 1 ? &f->samples[f->taken % 2] : NULL;
}
