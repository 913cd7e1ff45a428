/* SPDX-License-Identifier: MIT
 *
 * Sharing one serial line among several consoles. One request at a time is on its way to the machine; the
 * others wait. Answers go to the console whose session they carry.
 */
#ifndef CONSOLE_ROUTE_H
#define CONSOLE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "envelope.h"
#include "frame.h"

#define ROUTE_CLIENTS_MAX 32u

/* A request that is not answered by then no longer keeps others waiting; its console will repeat it. */
#define ROUTE_PATIENCE_S 3.0

struct route_client {
    int fd; /* -1: unused */
    struct frame_decoder decoder;
    struct envelope waits_for; /* of the frame below */
    size_t frame_bytes;        /* a request that waits for its turn; 0: none */
    uint8_t frame[FRAME_MAX_BYTES];
};

struct route {
    struct route_client clients[ROUTE_CLIENTS_MAX];
    int in_flight; /* index of the client whose request is on its way, or -1 */
    struct envelope flying;
    double flying_since_s;
    unsigned next; /* whose turn it is to be looked at first */
    size_t out_bytes, out_sent;
    uint8_t out[FRAME_MAX_BYTES]; /* what is being written to the serial line */
};

void route_init(struct route *r);

/* A new console; closes fd when there are too many already. */
void route_add(struct route *r, int fd);

/* A console wrote something, or went away. */
void route_client_input(struct route *r, unsigned index, double now_s);

/* A whole good frame came from the machine. */
void route_answer(struct route *r, const uint8_t *payload, size_t payload_bytes);

/* Moves what can be moved to the serial line, which does not block. False when the line is gone. */
bool route_pump(struct route *r, int serial, double now_s);

void route_close(struct route *r);

#endif
