/* SPDX-License-Identifier: MIT
 *
 * The part of a message that says whose it is: session and id, or that it is a notice about a bad frame.
 */
#ifndef CONSOLE_ENVELOPE_H
#define CONSOLE_ENVELOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_BYTES 8u

struct envelope {
    bool bad_notice; /* {"v":1, "bad": text}; then the rest is not set */
    uint8_t session[SESSION_BYTES];
    uint64_t id;
};

/* Reads it from a payload. False: not a message of this protocol. */
bool envelope_read(const uint8_t *payload, size_t payload_bytes, struct envelope *env);

#endif
