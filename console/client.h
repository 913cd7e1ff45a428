/* SPDX-License-Identifier: MIT
 *
 * Requests and their answers. One request at a time, repeated unchanged until its answer comes: the machine
 * does it once, however often it hears it.
 */
#ifndef CONSOLE_CLIENT_H
#define CONSOLE_CLIENT_H

#include <cbor.h>
#include <stddef.h>
#include <stdint.h>

#include "cborx.h"
#include "conn.h"
#include "error.h"

struct client;

/* What an answer holds in its "ok". Release with answer_free(). */
struct answer {
    cbor_item_t *message;
    const cbor_item_t *ok; /* borrowed from message */
};

/* What the line was like, since it was opened. */
struct client_counts {
    uint64_t requests;
    uint64_t repeats;
    uint64_t bad_notices;
    uint64_t corrupt_frames;
    uint64_t strays; /* good frames that answer something else */
};

/* Takes over the connection. NULL when there is no memory or no randomness. */
struct client *client_new(struct conn *conn, double patience_s);
void client_free(struct client *c);

/* Begins a request: put its arguments into the writer that is returned (an open map; do not end it). */
struct cborx_writer *client_begin(struct client *c, const char *verb);

/* Sends what was begun, and waits. STATUS_OK: *a is the answer. STATUS_REFUSED: the machine's reason is in
 * *e. STATUS_CONNECT: no answer in time, or the peer went away. */
enum status client_call(struct client *c, struct answer *a, struct error *e);

void answer_free(struct answer *a);

const struct client_counts *client_counts(const struct client *c);

#endif
