/* SPDX-License-Identifier: MIT
 *
 * CBOR as the protocol uses it: RFC 8949 deterministic encoding (4.2.1), text
 * keys, no tags, bounded depth. Encoding and decoding of the items themselves
 * is libcbor's; this adds map ordering on the way out and strictness on the
 * way in. Console and steward compile this same file.
 */
#ifndef TITHE_WIRE_CBORX_H
#define TITHE_WIRE_CBORX_H

#include <cbor.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CBORX_DEPTH_MAX 12u
#define CBORX_KEYS_MAX  256u /* entries in one map */

/* ---- Reading ------------------------------------------------------------ */

/* Checks that the bytes are exactly one item in the protocol's subset, without
 * allocating: libcbor 0.8 would allocate whatever a header claims. Returns NULL
 * when they are, or what is wrong, in words. */
const char *cborx_check(const uint8_t *bytes, size_t length);

/* cborx_check(), then libcbor's tree. NULL with *why in words when the bytes are
 * no good or memory is short. The caller releases it with cbor_decref(). */
cbor_item_t *cborx_load(const uint8_t *bytes, size_t length, const char **why);

/* The value of a key, or NULL when `map` is NULL, not a map, or has no such key.
 * Borrowed: it lives as long as the map. */
const cbor_item_t *cborx_get(const cbor_item_t *map, const char *key);

/* True when the item is there and of the type; only then is *value written. */
bool cborx_uint(const cbor_item_t *item, uint64_t *value);
bool cborx_int(const cbor_item_t *item, int64_t *value);
bool cborx_bool(const cbor_item_t *item, bool *value);
bool cborx_number(const cbor_item_t *item, double *value); /* any integer or float */
/* Copies text and ends it with NUL. False when it does not fit or has a NUL inside. */
bool cborx_text(const cbor_item_t *item, char *out, size_t out_bytes);
/* Borrowed bytes of a byte string; NULL when it is not one. */
const uint8_t *cborx_bytes(const cbor_item_t *item, size_t *length);

/* ---- Writing ------------------------------------------------------------ */

/* Writes into a buffer of the caller's, and never allocates. Map entries may be
 * put in any order: cborx_end() sorts them. An error (no room, too deep, a key
 * twice) sticks, and cborx_finish() then returns 0. */
struct cborx_writer {
    uint8_t *out;
    size_t size_bytes;
    size_t used_bytes;
    bool failed;
    unsigned depth;
    struct cborx_open {
        size_t start; /* offset of its first entry */
        size_t items; /* keys and values put so far */
        bool map;
    } open[CBORX_DEPTH_MAX];
};

void cborx_begin(struct cborx_writer *w, uint8_t *out, size_t size_bytes);

/* Each put takes a key inside a map, and NULL inside an array or at the top. */
void cborx_put_map(struct cborx_writer *w, const char *key);   /* until cborx_end() */
void cborx_put_array(struct cborx_writer *w, const char *key); /* until cborx_end() */
void cborx_end(struct cborx_writer *w);
void cborx_put_uint(struct cborx_writer *w, const char *key, uint64_t value);
void cborx_put_int(struct cborx_writer *w, const char *key, int64_t value);
void cborx_put_bool(struct cborx_writer *w, const char *key, bool value);
void cborx_put_double(struct cborx_writer *w, const char *key, double value); /* shortest exact float */
void cborx_put_text(struct cborx_writer *w, const char *key,
                    const char *text); /* '?' for bytes that are not ASCII */
void cborx_put_bytes(struct cborx_writer *w, const char *key, const void *bytes, size_t length);

/* Before an entry that may not fit: cborx_rewind() to the mark takes it out again
 * and clears the error. The same maps and arrays must be open at both. */
struct cborx_mark {
    size_t used_bytes;
    unsigned depth;
    size_t items;
};
struct cborx_mark cborx_mark(const struct cborx_writer *w);
void cborx_rewind(struct cborx_writer *w, struct cborx_mark mark);

/* The length of what was written, or 0 after any error. */
size_t cborx_finish(const struct cborx_writer *w);

#endif
