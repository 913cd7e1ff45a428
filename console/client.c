/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "clock.h"
#include "cmd_run.h"
#include "envelope.h"
#include "frame.h"
#include "machine.h"

/* The wait for an answer before the request is repeated follows the line's own pace (as TCP does, RFC 6298),
 * between these. Too early a repetition costs a frame and nothing else. */
#define WAIT_FIRST_S 1.0
#define WAIT_LEAST_S 0.15
#define WAIT_MOST_S  4.0
/* A notice of a bad frame repeats at once, but a line that breaks everything is not to be flooded. */
#define AT_ONCE_MAX  16u

struct client {
    struct conn conn;
    double patience_s;
    uint8_t session[SESSION_BYTES];
    uint64_t id;
    char verb[32];
    double mean_s, deviation_s; /* of the time an answer takes; 0: none yet */
    struct client_counts counts;
    struct cborx_writer writer;
    uint8_t payload[FRAME_PAYLOAD_MAX_BYTES];
    struct frame_decoder decoder;
    uint8_t in[4096]; /* read and not yet decoded: a frame may end in the middle */
    size_t in_bytes, in_used;
};

struct client *client_new(struct conn *conn, double patience_s)
{
    static const uint8_t zero[SESSION_BYTES];
    struct client *c = calloc(1, sizeof *c);

    if (c == NULL) return NULL;
    while (memcmp(c->session, zero, sizeof zero) == 0) {
        if (getrandom(c->session, sizeof c->session, 0) == (ssize_t)sizeof c->session) continue;
        free(c);
        return NULL;
    }
    c->conn = *conn;
    c->patience_s = patience_s;
    return c;
}

void client_free(struct client *c)
{
    if (c == NULL) return;
    conn_close(&c->conn);
    free(c);
}

const struct client_counts *client_counts(const struct client *c)
{
    return &c->counts;
}

struct cborx_writer *client_begin(struct client *c, const char *verb)
{
    snprintf(c->verb, sizeof c->verb, "%s", verb);
    c->id++;
    cborx_begin(&c->writer, c->payload, sizeof c->payload);
    cborx_put_map(&c->writer, NULL);
    cborx_put_uint(&c->writer, "v", 1);
    cborx_put_bytes(&c->writer, "session", c->session, sizeof c->session);
    cborx_put_uint(&c->writer, "id", c->id);
    cborx_put_text(&c->writer, "verb", verb);
    cborx_put_map(&c->writer, "args");
    return &c->writer;
}

/* The machine's own broker knows how the machine ended, a moment after its line has closed. */
static enum status gone(struct client *c, const char *reason, struct error *e)
{
    struct machine m;
    struct error ignored;
    char result[1024], *line;
    int tries;

    for (tries = 0; c->conn.machine[0] != '\0' && tries < 20; tries++) {
        if (machine_find(&m, c->conn.machine, &ignored) == STATUS_OK && !machine_is_up(&m)) {
            line = machine_get(&m, "result", result, sizeof result) ? strchr(result, '\n') : NULL;
            if (line != NULL) line[1 + strcspn(line + 1, "\n")] = '\0';
            return error_set(e, STATUS_CONNECT, "machine-down", c->conn.peer,
                             "start it again with 'tithe run'", "has ended: %s",
                             line != NULL ? line + 1 : "no reason known");
        }
        clock_sleep_s(0.05);
    }
    return error_set(e, STATUS_CONNECT, "peer-gone", c->conn.peer,
                     "see that the machine runs, and repeat; 'list' shows what was done",
                     "went away before it answered '%s' (%s)", c->verb, reason);
}

static enum status send_frame(struct client *c, const uint8_t *frame, size_t bytes, double until_s,
                              struct error *e)
{
    while (bytes > 0) {
        ssize_t n = write(c->conn.out, frame, bytes);
        struct pollfd p = {.fd = c->conn.out, .events = POLLOUT};

        if (n > 0) {
            frame += n;
            bytes -= (size_t)n;
            continue;
        }
        if (n < 0 && errno != EAGAIN && errno != EINTR) return gone(c, strerror(errno), e);
        if (clock_now_s() > until_s)
            return error_set(e, STATUS_CONNECT, "timeout", c->conn.peer, "see that something reads the line",
                             "takes no more bytes, '%s' could not be sent", c->verb);
        poll(&p, 1, 100);
    }
    return STATUS_OK;
}

enum heard { HEARD_NOTHING, HEARD_ANSWER, HEARD_BAD_NOTICE, HEARD_END };

/* Decodes what is in the buffer up to something that matters. */
static enum heard take_bytes(struct client *c, struct answer *a)
{
    while (c->in_used < c->in_bytes) {
        enum frame_event event = frame_decode(&c->decoder, c->in[c->in_used++]);
        struct envelope env;
        const char *why;

        if (event == FRAME_BAD) c->counts.corrupt_frames++;
        if (event != FRAME_PAYLOAD)
            continue; /* text between frames is the log's, and its keeper is elsewhere */
        if (!envelope_read(c->decoder.payload, c->decoder.payload_bytes, &env)) {
            c->counts.corrupt_frames++;
            continue;
        }
        if (env.bad_notice) {
            c->counts.bad_notices++;
            return HEARD_BAD_NOTICE;
        }
        if (env.id != c->id || memcmp(env.session, c->session, sizeof c->session) != 0) {
            c->counts.strays++;
            continue;
        }
        a->message = cborx_load(c->decoder.payload, c->decoder.payload_bytes, &why);
        if (a->message != NULL) return HEARD_ANSWER;
    }
    return HEARD_NOTHING;
}

static enum heard listen_until(struct client *c, double until_s, struct answer *a)
{
    for (;;) {
        enum heard heard = take_bytes(c, a);
        struct pollfd p = {.fd = c->conn.in, .events = POLLIN};
        double left_s = until_s - clock_now_s();
        ssize_t n;

        if (heard != HEARD_NOTHING) return heard;
        if (left_s <= 0) return HEARD_NOTHING;
        if (poll(&p, 1, (int)(left_s * 1000) + 1) <= 0) continue;
        n = read(c->conn.in, c->in, sizeof c->in);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) return HEARD_END;
        c->in_bytes = (size_t)n;
        c->in_used = 0;
    }
}

static double wait_s(const struct client *c)
{
    double s = c->mean_s > 0 ? c->mean_s + 4 * c->deviation_s : WAIT_FIRST_S;

    return s < WAIT_LEAST_S ? WAIT_LEAST_S : s > WAIT_MOST_S ? WAIT_MOST_S : s;
}

static void note_pace(struct client *c, double took_s)
{
    double off = took_s - c->mean_s;

    if (c->mean_s <= 0) {
        c->mean_s = took_s;
        c->deviation_s = took_s / 2;
        return;
    }
    c->mean_s += off / 8;
    c->deviation_s += ((off < 0 ? -off : off) - c->deviation_s) / 4;
}

/* An error of the machine's becomes ours. */
static enum status refused(struct client *c, struct answer *a, struct error *e)
{
    const cbor_item_t *err = cborx_get(a->message, "err");
    char code[sizeof e->code] = "unknown", thing[sizeof e->thing] = "", mend[sizeof e->mend] = "";
    char reason[sizeof e->reason] = "the machine answered in a form that this tithe does not know";

    if (err == NULL) snprintf(thing, sizeof thing, "%s", c->verb);
    cborx_text(cborx_get(err, "code"), code, sizeof code);
    cborx_text(cborx_get(err, "thing"), thing, sizeof thing);
    cborx_text(cborx_get(err, "reason"), reason, sizeof reason);
    cborx_text(cborx_get(err, "mend"), mend, sizeof mend);
    answer_free(a);
    return error_set(e, STATUS_REFUSED, code, thing, mend, "%s", reason);
}

enum status client_call(struct client *c, struct answer *a, struct error *e)
{
    uint8_t frame[FRAME_MAX_BYTES];
    double began_s = clock_now_s(), until_s = began_s + c->patience_s, this_wait_s = wait_s(c);
    unsigned tries = 0, at_once = 0;
    size_t bytes, payload_bytes;

    *a = (struct answer){0};
    cborx_end(&c->writer);
    cborx_end(&c->writer);
    payload_bytes = cborx_finish(&c->writer);
    bytes = payload_bytes > 0 ? frame_encode(c->payload, payload_bytes, frame) : 0;
    if (bytes == 0)
        return error_set(e, STATUS_USAGE, "too-long", c->verb, "shorten its arguments",
                         "does not fit into one message of %u bytes", FRAME_PAYLOAD_MAX_BYTES);
    c->counts.requests++;
    for (;; tries++) {
        double sent_s = clock_now_s(), next_s = sent_s + this_wait_s;
        enum heard heard;
        enum status s = send_frame(c, frame, bytes, until_s, e);

        if (s != STATUS_OK) return s;
        if (tries > 0) c->counts.repeats++;
        do heard = listen_until(c, next_s < until_s ? next_s : until_s, a);
        while (heard == HEARD_BAD_NOTICE && ++at_once > AT_ONCE_MAX);
        if (heard == HEARD_END) return gone(c, "end of the connection", e);
        if (heard == HEARD_ANSWER) {
            if (tries == 0) note_pace(c, clock_now_s() - sent_s);
            a->ok = cborx_get(a->message, "ok");
            return a->ok != NULL && cbor_isa_map(a->ok) ? STATUS_OK : refused(c, a, e);
        }
        if (clock_now_s() >= until_s)
            return error_set(
                e, STATUS_CONNECT, "timeout", c->conn.peer,
                "see that the machine runs ('tithe log' or its log file), or wait longer with --patience",
                "gave no answer to '%s' within %.0f s (asked %u times, %llu damaged frames came)", c->verb,
                c->patience_s, tries + 1, (unsigned long long)c->counts.corrupt_frames);
        if (heard == HEARD_NOTHING)
            this_wait_s = this_wait_s * 2 > WAIT_MOST_S ? WAIT_MOST_S : this_wait_s * 2;
    }
}

void answer_free(struct answer *a)
{
    if (a->message != NULL) cbor_decref(&a->message);
    *a = (struct answer){0};
}
