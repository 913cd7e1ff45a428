/* SPDX-License-Identifier: MIT */
#include "route.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void route_init(struct route *r)
{
    size_t i;

    memset(r, 0, sizeof *r);
    r->in_flight = -1;
    for (i = 0; i < ROUTE_CLIENTS_MAX; i++) r->clients[i].fd = -1;
}

void route_add(struct route *r, int fd)
{
    size_t i;

    for (i = 0; i < ROUTE_CLIENTS_MAX; i++) {
        if (r->clients[i].fd >= 0) continue;
        memset(&r->clients[i], 0, sizeof r->clients[i]);
        r->clients[i].fd = fd;
        return;
    }
    close(fd);
}

static void drop(struct route *r, unsigned index)
{
    close(r->clients[index].fd);
    r->clients[index].fd = -1;
    r->clients[index].frame_bytes = 0;
    if (r->in_flight == (int)index) r->in_flight = -1;
}

void route_client_input(struct route *r, unsigned index, double now_s)
{
    struct route_client *c = &r->clients[index];
    uint8_t bytes[4096];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    ssize_t i;

    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        drop(r, index);
        return;
    }
    for (i = 0; i < n; i++) {
        enum frame_event event = frame_decode(&c->decoder, bytes[i]);

        if (event != FRAME_PAYLOAD ||
            !envelope_read(c->decoder.payload, c->decoder.payload_bytes, &c->waits_for))
            continue;
        /* A newer request, or a repetition, takes the place of one that still waits. */
        c->frame_bytes = frame_encode(c->decoder.payload, c->decoder.payload_bytes, c->frame);
        /* A repetition of what is on its way goes out at once: the first one may be lost. */
        if (r->in_flight == (int)index) r->flying_since_s = now_s - ROUTE_PATIENCE_S;
    }
}

/* Consoles read what they asked for, so a full socket means one that hangs: it misses the answer and will
 * repeat. */
static void give(struct route_client *c, const uint8_t *frame, size_t bytes)
{
    if (c->fd >= 0) (void)send(c->fd, frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void route_answer(struct route *r, const uint8_t *payload, size_t payload_bytes)
{
    uint8_t frame[FRAME_MAX_BYTES];
    struct envelope env;
    size_t bytes;

    if (r->in_flight < 0 || !envelope_read(payload, payload_bytes, &env)) return;
    bytes = frame_encode(payload, payload_bytes, frame);
    if (!env.bad_notice) {
        /* An answer to an earlier try of someone else's: nobody waits for it any more. */
        if (memcmp(env.session, r->flying.session, SESSION_BYTES) != 0 || env.id != r->flying.id) return;
        give(&r->clients[r->in_flight], frame, bytes);
        r->in_flight = -1;
        return;
    }
    give(&r->clients[r->in_flight], frame, bytes);
}

/* Puts the next waiting request on the line. */
static void take_next(struct route *r, double now_s)
{
    unsigned i;

    for (i = 0; i < ROUTE_CLIENTS_MAX; i++) {
        unsigned index = (r->next + i) % ROUTE_CLIENTS_MAX;
        struct route_client *c = &r->clients[index];

        if (c->fd < 0 || c->frame_bytes == 0) continue;
        memcpy(r->out, c->frame, c->frame_bytes);
        r->out_bytes = c->frame_bytes;
        r->out_sent = 0;
        c->frame_bytes = 0;
        r->in_flight = (int)index;
        r->flying = c->waits_for;
        r->flying_since_s = now_s;
        r->next = index + 1;
        return;
    }
}

bool route_pump(struct route *r, int serial, double now_s)
{
    if (serial < 0) return true;
    for (;;) {
        if (r->out_sent < r->out_bytes) {
            ssize_t n = write(serial, r->out + r->out_sent, r->out_bytes - r->out_sent);

            if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
            if (n <= 0) return false;
            r->out_sent += (size_t)n;
            continue;
        }
        r->out_bytes = r->out_sent = 0;
        if (r->in_flight >= 0 && now_s - r->flying_since_s < ROUTE_PATIENCE_S) return true;
        take_next(r, now_s);
        if (r->out_bytes == 0) return true;
    }
}

void route_close(struct route *r)
{
    unsigned i;

    for (i = 0; i < ROUTE_CLIENTS_MAX; i++)
        if (r->clients[i].fd >= 0) drop(r, i);
}
