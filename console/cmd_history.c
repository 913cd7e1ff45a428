/* SPDX-License-Identifier: MIT
 *
 * `tithe events` and `tithe log`: what happened, in order.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "cmd_host.h"
#include "fields.h"
#include "json.h"
#include "size.h"

#define FOLLOW_S 0.3

const struct option_spec events_options[] = {
    {"since", "SEQ", "from this sequence number on (default: the oldest kept)"},
    {"follow", NULL, "go on as they happen, until interrupted"},
    {NULL, NULL, NULL},
};

const struct option_spec log_options[] = {
    {"follow", NULL, "go on as it grows, until interrupted"},
    {NULL, NULL, NULL},
};

void event_text(const cbor_item_t *event, char *buf, size_t n)
{
    static const char *const stops[] = {"none", "power-off", "exit code", "crash", "destroyed", "no memory"};
    const char *kind = field_text(event, "kind"), *text = field_text(event, "text");
    uint64_t value = field_uint(event, "value");
    size_t at = (size_t)snprintf(buf, n, "%s", kind);

    if (field_given(event, "vm") && at < n)
        at += (size_t)snprintf(buf + at, n - at, " VM %" PRIu64, field_uint(event, "vm"));
    if (at < n && strcmp(kind, "vm-stopped") == 0 && value < sizeof stops / sizeof stops[0]) {
        at += (size_t)snprintf(buf + at, n - at, ": %s", stops[value]);
        if (value == 2 && at < n)
            at += (size_t)snprintf(buf + at, n - at, " %" PRIu64, field_uint(event, "value2"));
    } else if (at < n && value > 0 && (strcmp(kind, "reserve") == 0 || strcmp(kind, "vm-created") == 0)) {
        char size[16];

        at += (size_t)snprintf(buf + at, n - at, " (%s%s)", size_text(value, size, sizeof size),
                               strcmp(kind, "reserve") == 0 ? " free" : "");
    }
    if (at < n && *text != '\0') snprintf(buf + at, n - at, ": %s", text);
}

static void print_event(const struct context *t, struct json *j, const cbor_item_t *event, bool follow)
{
    char text[400];

    if (t->json && follow) {
        struct json line = {.out = stdout};

        json_cbor(&line, NULL, event);
        putchar('\n');
    } else if (t->json) {
        json_cbor(j, NULL, event);
    } else {
        event_text(event, text, sizeof text);
        printf("%6" PRIu64 " %11.3f s  %s\n", field_uint(event, "seq"), (double)field_uint(event, "ns") / 1e9,
               text);
    }
}

enum status cmd_events(struct context *t, struct error *e)
{
    const char *since = option_value(t->options, "since");
    bool follow = option_given(t->options, "follow");
    struct json j = {0};
    uint64_t seq = 0;
    struct client *c;
    enum status s = since != NULL ? number_parse(since, "since", 0, UINT64_MAX / 2, &seq, e) : STATUS_OK;

    if (s == STATUS_OK) s = context_client(t, &c, e);
    if (s != STATUS_OK) return s;
    /* A list when it ends, lines (one object each) when it does not. */
    if (t->json && !follow) {
        j = json_begin(stdout);
        json_open(&j, "events", '[');
    }
    while (s == STATUS_OK) {
        struct cborx_writer *w = client_begin(c, "events");
        struct answer a = {0};
        size_t i, n;

        cborx_put_uint(w, "seq", seq);
        s = client_call(c, &a, e);
        n = field_count(a.ok, "events");
        for (i = 0; i < n; i++) print_event(t, &j, field_at(a.ok, "events", i), follow);
        if (s == STATUS_OK) seq = field_uint(a.ok, "next");
        answer_free(&a);
        if (n > 0) continue;
        if (!follow || fflush(stdout) != 0) break;
        clock_sleep_s(FOLLOW_S);
    }
    if (t->json && !follow && s == STATUS_OK) {
        json_close(&j, ']');
        json_uint(&j, "next", seq);
        json_end(&j);
    }
    return s;
}

enum status cmd_log(struct context *t, struct error *e)
{
    bool follow = option_given(t->options, "follow");
    char *all = NULL;
    size_t all_bytes = 0;
    FILE *out = t->json && !follow ? open_memstream(&all, &all_bytes) : stdout;
    uint64_t offset = 0;
    struct client *c;
    enum status s = context_client(t, &c, e);

    while (s == STATUS_OK && out != NULL) {
        struct cborx_writer *w = client_begin(c, "log");
        struct answer a = {0};
        const uint8_t *data;
        size_t n = 0;

        cborx_put_uint(w, "offset", offset);
        s = client_call(c, &a, e);
        data = cborx_bytes(cborx_get(a.ok, "data"), &n);
        if (data == NULL) n = 0;
        if (n > 0) {
            fwrite(data, 1, n, out);
            offset = field_uint(a.ok, "offset") + n;
        }
        answer_free(&a);
        if (n > 0) continue;
        if (!follow || fflush(out) != 0) break;
        clock_sleep_s(FOLLOW_S);
    }
    if (out == NULL || out == stdout) return s;
    fclose(out);
    if (s == STATUS_OK) {
        struct json j = json_begin(stdout);

        json_bytes(&j, "log", all, all_bytes);
        json_end(&j);
    }
    free(all);
    return s;
}
