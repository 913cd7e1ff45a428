/* SPDX-License-Identifier: MIT */
#include "frame.h"

#include <string.h>
#include <zlib.h>

static uint32_t payload_crc(const uint8_t *payload, size_t payload_bytes)
{
    return (uint32_t)crc32(crc32(0, NULL, 0), payload, (unsigned)payload_bytes);
}

/* The COBS encoder, one byte at a time: `code` is where the length of the
 * current run of non-zero bytes will go. */
struct cobs {
    uint8_t *out;
    size_t used;
    size_t code;
};

static void cobs_begin(struct cobs *c)
{
    c->code = c->used++;
}

static void cobs_end(struct cobs *c)
{
    c->out[c->code] = (uint8_t)(c->used - c->code);
}

static void cobs_put(struct cobs *c, uint8_t byte)
{
    if (c->used - c->code == 0xff) { /* a full run of 254 bytes implies no zero after it */
        cobs_end(c);
        cobs_begin(c);
    }
    if (byte != 0) {
        c->out[c->used++] = byte;
    } else {
        cobs_end(c);
        cobs_begin(c);
    }
}

size_t frame_encode(const uint8_t *payload, size_t payload_bytes, uint8_t out[FRAME_MAX_BYTES])
{
    if (payload_bytes == 0 || payload_bytes > FRAME_PAYLOAD_MAX_BYTES) return 0;
    struct cobs c = {.out = out, .used = 1};
    out[0] = 0;
    cobs_begin(&c);
    for (size_t i = 0; i < payload_bytes; i++) cobs_put(&c, payload[i]);
    uint32_t crc = payload_crc(payload, payload_bytes);
    for (unsigned i = 0; i < FRAME_CRC_BYTES; i++) cobs_put(&c, (uint8_t)(crc >> (8 * i)));
    cobs_end(&c);
    out[c.used++] = 0;
    return c.used;
}

/* Undoes COBS in place. Returns the length, or 0 when a run points past the end. */
static size_t cobs_decode(uint8_t *bytes, size_t length)
{
    size_t in = 0, out = 0;
    while (in < length) {
        size_t code = bytes[in];
        if (code == 0 || code > length - in) return 0;
        memmove(bytes + out, bytes + in + 1, code - 1);
        out += code - 1;
        in += code;
        if (code != 0xff && in < length) bytes[out++] = 0;
    }
    return out;
}

static bool segment_is_frame(struct frame_decoder *d)
{
    if (d->too_long) return false;
    size_t length = cobs_decode(d->segment, d->segment_bytes);
    if (length <= FRAME_CRC_BYTES || length > FRAME_PAYLOAD_MAX_BYTES + FRAME_CRC_BYTES) return false;
    size_t payload_bytes = length - FRAME_CRC_BYTES;
    const uint8_t *end = d->segment + payload_bytes;
    uint32_t crc = (uint32_t)end[0] | (uint32_t)end[1] << 8 | (uint32_t)end[2] << 16 | (uint32_t)end[3] << 24;
    if (crc != payload_crc(d->segment, payload_bytes)) return false;
    d->payload = d->segment;
    d->payload_bytes = payload_bytes;
    return true;
}

static bool is_text(uint8_t byte)
{
    return (byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\r' || byte == '\t' || byte == 0x1b;
}

static enum frame_event give_text(struct frame_decoder *d, const uint8_t *text, size_t text_bytes)
{
    d->text = text;
    d->text_bytes = text_bytes;
    return FRAME_TEXT;
}

static void start_segment(struct frame_decoder *d)
{
    d->segment_bytes = 0;
    d->too_long = false;
    d->binary = false;
}

/* A zero byte: it ends a frame or opens one. Whichever it was meant to be, what
 * came before it is tried as a frame, so a lost zero costs nothing. */
static enum frame_event zero_byte(struct frame_decoder *d)
{
    bool was_in_frame = d->in_frame;
    bool was_text = !d->binary && !d->too_long;
    size_t length = d->segment_bytes;
    if (length == 0 && !d->too_long) {
        d->in_frame = true;
        return FRAME_NONE;
    }
    if (was_text && was_in_frame) { /* a frame is never all text: its second byte is a CBOR map's head */
        start_segment(d);
        return give_text(d, d->segment, length);
    }
    bool good = d->binary && segment_is_frame(d);
    start_segment(d);
    d->in_frame = !good; /* after a bad frame, take this zero for the opening one of the next */
    if (good) return FRAME_PAYLOAD;
    return was_in_frame ? FRAME_BAD : FRAME_NONE;
}

enum frame_event frame_decode(struct frame_decoder *d, uint8_t byte)
{
    if (byte == 0) return zero_byte(d);
    if (d->segment_bytes < sizeof d->segment) {
        d->segment[d->segment_bytes++] = byte;
    } else {
        d->too_long = true;
    }
    if (!is_text(byte)) d->binary = true;
    if (d->in_frame) {
        /* A whole line of text where a frame should be: the line is between frames after all. No frame
         * starts like that: its first byte counts a run, and may be a newline, but the second, the head of
         * a CBOR map, is no text. */
        if (byte != '\n' || d->segment_bytes == 1 || d->binary || d->too_long) return FRAME_NONE;
        size_t length = d->segment_bytes;
        start_segment(d);
        d->in_frame = false;
        return give_text(d, d->segment, length);
    }
    if (!is_text(byte)) return FRAME_NONE;
    if (byte == '\n' && !d->binary) start_segment(d); /* a whole line of text is no part of a frame */
    d->last = byte;
    return give_text(d, &d->last, 1);
}
