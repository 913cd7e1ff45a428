/* SPDX-License-Identifier: MIT
 *
 * Frames on the management line: 00 COBS(payload CRC-32) 00, between lines of
 * readable log. Console and steward compile this same file.
 *
 * COBS: Cheshire and Baker, "Consistent Overhead Byte Stuffing" (1999).
 * CRC-32 as zlib's crc32(), little-endian, over the payload.
 */
#ifndef TITHE_WIRE_FRAME_H
#define TITHE_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_PAYLOAD_MAX_BYTES 8192u
#define FRAME_CRC_BYTES         4u
/* COBS adds one byte, and one more for every whole 254 bytes without a zero. */
#define FRAME_COBS_MAX_BYTES                                                                                 \
    (FRAME_PAYLOAD_MAX_BYTES + FRAME_CRC_BYTES + 1u + (FRAME_PAYLOAD_MAX_BYTES + FRAME_CRC_BYTES) / 254u)
#define FRAME_MAX_BYTES (FRAME_COBS_MAX_BYTES + 2u)

/* Writes the whole frame of a payload, both zero bytes included. Returns its
 * length in bytes, or 0 when the payload is empty or too long. */
size_t frame_encode(const uint8_t *payload, size_t payload_bytes, uint8_t out[FRAME_MAX_BYTES]);

enum frame_event {
    FRAME_NONE = 0,
    FRAME_TEXT,    /* bytes outside of frames: text[0 .. text_bytes) */
    FRAME_PAYLOAD, /* a good frame: payload[0 .. payload_bytes) */
    FRAME_BAD,     /* something between two zero bytes that is neither a frame nor text */
};

/* A decoder needs no set-up beyond zeroing. It finds its place again by itself
 * after noise, cut frames, and lost or inserted zero bytes. */
struct frame_decoder {
    bool in_frame;        /* the last zero byte opened a frame, as far as we know */
    bool too_long;        /* the bytes since the last zero did not fit */
    bool binary;          /* ... and some of them cannot be text */
    size_t segment_bytes; /* since the last zero byte */
    uint8_t segment[FRAME_COBS_MAX_BYTES];
    uint8_t last;
    /* Results, valid until the next call. */
    const uint8_t *text;
    size_t text_bytes;
    const uint8_t *payload;
    size_t payload_bytes;
};

/* Takes one byte of the line. */
enum frame_event frame_decode(struct frame_decoder *d, uint8_t byte);

#endif
