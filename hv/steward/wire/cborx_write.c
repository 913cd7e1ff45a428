/* SPDX-License-Identifier: MIT
 *
 * Deterministic encoding (RFC 8949 4.2.1) into a fixed buffer: definite
 * lengths, shortest forms, map keys in bytewise order of their encoding.
 */
#include "cborx.h"

#include <stdlib.h>
#include <string.h>

void cborx_begin(struct cborx_writer *w, uint8_t *out, size_t size_bytes)
{
    memset(w, 0, sizeof *w);
    w->out = out;
    w->size_bytes = size_bytes;
}

static size_t room(const struct cborx_writer *w)
{
    return w->failed ? 0 : w->size_bytes - w->used_bytes;
}

static uint8_t *at(const struct cborx_writer *w)
{
    return w->out + w->used_bytes;
}

/* libcbor's encoders return 0 when there is no room. */
static void wrote(struct cborx_writer *w, size_t length)
{
    if (length == 0) w->failed = true;
    if (!w->failed) w->used_bytes += length;
}

static void raw(struct cborx_writer *w, const void *bytes, size_t length)
{
    if (length > room(w)) w->failed = true;
    if (w->failed || length == 0) return;
    memcpy(at(w), bytes, length);
    w->used_bytes += length;
}

static void text(struct cborx_writer *w, const char *s)
{
    size_t length = strlen(s);
    wrote(w, cbor_encode_string_start(length, at(w), room(w)));
    size_t from = w->used_bytes;
    raw(w, s, length);
    for (size_t i = from; i < w->used_bytes; i++) {
        if (w->out[i] >= 0x80)
            w->out[i] = '?'; /* names and reasons are ASCII; text must be UTF-8 (RFC 8949 3.1) */
    }
}

/* Counts the entry in whatever is open and writes its key. */
static void entry(struct cborx_writer *w, const char *key)
{
    if (w->depth > 0) {
        struct cborx_open *o = &w->open[w->depth - 1];
        o->items += o->map ? 2 : 1;
        if (o->map != (key != NULL)) w->failed = true;
    } else if (key != NULL || w->used_bytes != 0) {
        w->failed = true; /* one item, without a key, at the top */
    }
    if (key != NULL) text(w, key);
}

static void open_item(struct cborx_writer *w, const char *key, bool map)
{
    entry(w, key);
    if (w->depth == CBORX_DEPTH_MAX) {
        w->failed = true;
        return;
    }
    w->open[w->depth++] = (struct cborx_open){.start = w->used_bytes, .map = map};
}

void cborx_put_map(struct cborx_writer *w, const char *key)
{
    open_item(w, key, true);
}

void cborx_put_array(struct cborx_writer *w, const char *key)
{
    open_item(w, key, false);
}

/* Bytes of the item at p, which this writer has written: its head, and what the head holds. */
static size_t item_bytes(const uint8_t *p)
{
    unsigned major = *p >> 5, low = *p & 31u;
    size_t head = low < 24 ? 1 : 1 + ((size_t)1 << (low - 24));
    uint64_t value = low;
    if (low >= 24) {
        value = 0;
        for (size_t i = 1; i < head; i++) value = value << 8 | p[i];
    }
    if (major == 2 || major == 3) return head + (size_t)value;
    size_t length = head;
    if (major == 4 || major == 5) {
        uint64_t items = major == 5 ? 2 * value : value;
        for (uint64_t i = 0; i < items; i++) length += item_bytes(p + length);
    }
    return length;
}

struct map_entry {
    const uint8_t *start;
    size_t key_bytes;
    size_t total_bytes;
};

static int by_key(const void *pa, const void *pb)
{
    const struct map_entry *a = pa, *b = pb;
    size_t common = a->key_bytes < b->key_bytes ? a->key_bytes : b->key_bytes;
    return memcmp(a->start, b->start, common); /* one is never a prefix of the other: heads differ */
}

/* Sorts the entries of the innermost map, using the free end of the buffer as
 * scratch space when they are not in order already. */
static void sort_map(struct cborx_writer *w, const struct cborx_open *o)
{
    struct map_entry entries[CBORX_KEYS_MAX];
    size_t n = o->items / 2;
    if (n > CBORX_KEYS_MAX) {
        w->failed = true;
        return;
    }
    const uint8_t *p = w->out + o->start;
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        entries[i].start = p;
        entries[i].key_bytes = item_bytes(p);
        entries[i].total_bytes = entries[i].key_bytes + item_bytes(p + entries[i].key_bytes);
        p += entries[i].total_bytes;
        if (i > 0 && by_key(&entries[i - 1], &entries[i]) >= 0) sorted = false;
    }
    if (sorted) return;
    qsort(entries, n, sizeof entries[0], by_key);
    size_t length = w->used_bytes - o->start;
    uint8_t *scratch = malloc(length);
    if (scratch == NULL) {
        w->failed = true;
        return;
    }
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && by_key(&entries[i - 1], &entries[i]) == 0) w->failed = true;
        memcpy(scratch + used, entries[i].start, entries[i].total_bytes);
        used += entries[i].total_bytes;
    }
    memcpy(w->out + o->start, scratch, length);
    free(scratch);
}

void cborx_end(struct cborx_writer *w)
{
    if (w->depth == 0) {
        w->failed = true;
        return;
    }
    const struct cborx_open o = w->open[--w->depth];
    if (w->failed) return;
    if (o.map) sort_map(w, &o);
    uint8_t head[9];
    size_t head_bytes = o.map ? cbor_encode_map_start(o.items / 2, head, sizeof head)
                              : cbor_encode_array_start(o.items, head, sizeof head);
    if (head_bytes > room(w)) w->failed = true;
    if (w->failed) return;
    memmove(w->out + o.start + head_bytes, w->out + o.start, w->used_bytes - o.start);
    memcpy(w->out + o.start, head, head_bytes);
    w->used_bytes += head_bytes;
}

void cborx_put_uint(struct cborx_writer *w, const char *key, uint64_t value)
{
    entry(w, key);
    wrote(w, cbor_encode_uint(value, at(w), room(w)));
}

void cborx_put_int(struct cborx_writer *w, const char *key, int64_t value)
{
    if (value >= 0) {
        cborx_put_uint(w, key, (uint64_t)value);
        return;
    }
    entry(w, key);
    wrote(w, cbor_encode_negint((uint64_t)(-1 - value), at(w), room(w)));
}

void cborx_put_bool(struct cborx_writer *w, const char *key, bool value)
{
    entry(w, key);
    wrote(w, cbor_encode_bool(value, at(w), room(w)));
}

static void take_float(void *context, float value)
{
    *(float *)context = value;
}

/* Exactly representable as half precision, by libcbor's own round trip. */
static bool fits_half(float value)
{
    uint8_t bytes[3];
    float back = value + 1;
    struct cbor_callbacks callbacks = cbor_empty_callbacks;
    callbacks.float2 = take_float;
    size_t length = cbor_encode_half(value, bytes, sizeof bytes);
    cbor_stream_decode(bytes, length, &callbacks, &back);
    return memcmp(&back, &value, sizeof value) == 0;
}

void cborx_put_double(struct cborx_writer *w, const char *key, double value)
{
    entry(w, key);
    float single = (float)value;
    double back = single;
    if (memcmp(&back, &value, sizeof value) != 0) {
        wrote(w, cbor_encode_double(value, at(w), room(w)));
    } else if (!fits_half(single)) {
        wrote(w, cbor_encode_single(single, at(w), room(w)));
    } else {
        wrote(w, cbor_encode_half(single, at(w), room(w)));
    }
}

void cborx_put_text(struct cborx_writer *w, const char *key, const char *s)
{
    entry(w, key);
    text(w, s);
}

void cborx_put_bytes(struct cborx_writer *w, const char *key, const void *bytes, size_t length)
{
    entry(w, key);
    wrote(w, cbor_encode_bytestring_start(length, at(w), room(w)));
    raw(w, bytes, length);
}

struct cborx_mark cborx_mark(const struct cborx_writer *w)
{
    return (struct cborx_mark){w->used_bytes, w->depth, w->depth ? w->open[w->depth - 1].items : 0};
}

void cborx_rewind(struct cborx_writer *w, struct cborx_mark mark)
{
    w->used_bytes = mark.used_bytes;
    w->depth = mark.depth;
    if (mark.depth > 0) w->open[mark.depth - 1].items = mark.items;
    w->failed = false;
}

size_t cborx_finish(const struct cborx_writer *w)
{
    return w->failed || w->depth != 0 ? 0 : w->used_bytes;
}
