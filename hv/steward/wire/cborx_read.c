/* SPDX-License-Identifier: MIT
 *
 * The strict way in: libcbor's streaming decoder reads one head at a time, and
 * this keeps the stack of what is open, so nothing is allocated for a claim.
 */
#include "cborx.h"

#include <string.h>

struct level {
    uint64_t left; /* items still to come; in a map, keys and values */
    bool map;
    const uint8_t *key; /* encoding of the last key, for the order */
    size_t key_bytes;
};

struct check {
    const char *why;
    unsigned depth;
    struct level open[CBORX_DEPTH_MAX];
    size_t rest_bytes; /* after the current head */
    uint64_t opens;    /* items the current head announces, when it is an array's or a map's */
    bool is_open, is_map, is_text;
};

static void wrong(struct check *c, const char *why)
{
    if (c->why == NULL) c->why = why;
}

static void on_string(void *c, cbor_data data, size_t length)
{
    (void)data;
    (void)length;
    ((struct check *)c)->is_text = true;
}
static void on_array(void *c, size_t items)
{
    struct check *check = c;
    check->is_open = true;
    check->opens = items;
}
static void on_map(void *c, size_t pairs)
{
    struct check *check = c;
    check->is_open = check->is_map = true;
    check->opens = pairs > SIZE_MAX / 2 ? SIZE_MAX : 2 * (uint64_t)pairs;
}
static void on_indefinite(void *c)
{
    wrong(c, "an item of indefinite length");
}
static void on_tag(void *c, uint64_t tag)
{
    (void)tag;
    wrong(c, "a tag");
}
static void on_undefined(void *c)
{
    wrong(c, "an undefined value");
}

static struct cbor_callbacks check_callbacks(void)
{
    struct cbor_callbacks k = cbor_empty_callbacks;
    k.string = on_string;
    k.array_start = on_array;
    k.map_start = on_map;
    k.byte_string_start = k.string_start = k.indef_array_start = k.indef_map_start = on_indefinite;
    k.indef_break = on_indefinite;
    k.tag = on_tag;
    k.undefined = on_undefined;
    return k;
}

/* RFC 8949 4.2.1: the shortest form of every length and integer. */
static bool shortest(const uint8_t *head, size_t total_bytes)
{
    unsigned major = *head >> 5, low = *head & 31u;
    if (major == 7 || low < 24 || low > 27) return true;
    size_t width = (size_t)1 << (low - 24);
    if (1 + width > total_bytes) return true; /* cut: reported as such */
    uint64_t value = 0;
    for (size_t i = 1; i <= width; i++) value = value << 8 | head[i];
    static const uint64_t least[] = {24, 0x100, 0x10000, 0x100000000};
    return value >= least[low - 24];
}

/* A key of the innermost map: text, and after the key before it. */
static void check_key(struct check *c, const uint8_t *key, size_t key_bytes)
{
    struct level *l = &c->open[c->depth - 1];
    if (!c->is_text) {
        wrong(c, "a map key that is not text");
        return;
    }
    if (l->key != NULL) {
        size_t common = key_bytes < l->key_bytes ? key_bytes : l->key_bytes;
        int order = memcmp(l->key, key, common);
        if (order == 0) wrong(c, "a map key twice");
        if (order > 0) wrong(c, "map keys out of order");
    }
    l->key = key;
    l->key_bytes = key_bytes;
}

/* One head (and, of strings, the content) of `used` bytes was read at `head`. */
static void check_item(struct check *c, const uint8_t *head, size_t used)
{
    if (!shortest(head, used)) wrong(c, "a number or length not in its shortest form");
    if (c->depth > 0) {
        struct level *l = &c->open[c->depth - 1];
        if (l->map && l->left % 2 == 0) check_key(c, head, used);
        l->left--;
    }
    if (!c->is_open) return;
    if (c->opens > c->rest_bytes) { /* every item takes a byte at least */
        wrong(c, "an array or map that claims more than the frame holds");
    } else if (c->depth == CBORX_DEPTH_MAX) {
        wrong(c, "items nested too deep");
    } else {
        c->open[c->depth++] = (struct level){.left = c->opens, .map = c->is_map};
    }
}

const char *cborx_check(const uint8_t *bytes, size_t length)
{
    struct check c = {0};
    const struct cbor_callbacks callbacks = check_callbacks();
    size_t at = 0;
    do {
        if (at == length) return "an item that ends too soon";
        c.is_open = c.is_map = c.is_text = false;
        struct cbor_decoder_result r = cbor_stream_decode(bytes + at, length - at, &callbacks, &c);
        if (r.status == CBOR_DECODER_NEDATA) return "an item that ends too soon";
        if (r.status != CBOR_DECODER_FINISHED) return "a byte that starts no item";
        c.rest_bytes = length - at - r.read;
        check_item(&c, bytes + at, r.read);
        if (c.why != NULL) return c.why;
        at += r.read;
        while (c.depth > 0 && c.open[c.depth - 1].left == 0) c.depth--;
    } while (c.depth > 0);
    return at == length ? NULL : "bytes after the end of the item";
}

cbor_item_t *cborx_load(const uint8_t *bytes, size_t length, const char **why)
{
    *why = cborx_check(bytes, length);
    if (*why != NULL) return NULL;
    struct cbor_load_result result;
    cbor_item_t *item = cbor_load(bytes, length, &result);
    if (item == NULL) *why = result.error.code == CBOR_ERR_MEMERROR ? "no memory" : "an item libcbor refuses";
    return item;
}

const cbor_item_t *cborx_get(const cbor_item_t *map, const char *key)
{
    if (map == NULL || !cbor_isa_map(map)) return NULL;
    const struct cbor_pair *pairs = cbor_map_handle(map);
    size_t key_bytes = strlen(key);
    for (size_t i = 0; i < cbor_map_size(map); i++) {
        const cbor_item_t *k = pairs[i].key;
        if (cbor_isa_string(k) && cbor_string_length(k) == key_bytes &&
            memcmp(cbor_string_handle(k), key, key_bytes) == 0) {
            return pairs[i].value;
        }
    }
    return NULL;
}

bool cborx_uint(const cbor_item_t *item, uint64_t *value)
{
    if (item == NULL || !cbor_isa_uint(item)) return false;
    *value = cbor_get_int(item);
    return true;
}

bool cborx_int(const cbor_item_t *item, int64_t *value)
{
    if (item == NULL || !cbor_is_int(item)) return false;
    uint64_t magnitude = cbor_get_int(item);
    if (magnitude > INT64_MAX) return false;
    *value = cbor_isa_negint(item) ? -1 - (int64_t)magnitude : (int64_t)magnitude;
    return true;
}

bool cborx_bool(const cbor_item_t *item, bool *value)
{
    /* cbor_is_bool asserts that it is asked about a simple value, not a float. */
    if (item == NULL || !cbor_isa_float_ctrl(item) || !cbor_float_ctrl_is_ctrl(item) || !cbor_is_bool(item))
        return false;
    *value = cbor_get_bool(item);
    return true;
}

bool cborx_number(const cbor_item_t *item, double *value)
{
    int64_t integer;
    uint64_t natural;
    if (item == NULL) return false;
    if (cborx_int(item, &integer)) {
        *value = (double)integer;
    } else if (cborx_uint(item, &natural)) {
        *value = (double)natural;
    } else if (cbor_is_float(item)) {
        *value = cbor_float_get_float(item);
    } else {
        return false;
    }
    return true;
}

bool cborx_text(const cbor_item_t *item, char *out, size_t out_bytes)
{
    if (item == NULL || !cbor_isa_string(item)) return false;
    size_t length = cbor_string_length(item);
    if (length >= out_bytes) return false;
    if (length > 0 && memchr(cbor_string_handle(item), 0, length) != NULL) return false;
    if (length > 0) memcpy(out, cbor_string_handle(item), length);
    out[length] = 0;
    return true;
}

const uint8_t *cborx_bytes(const cbor_item_t *item, size_t *length)
{
    if (item == NULL || !cbor_isa_bytestring(item)) return NULL;
    *length = cbor_bytestring_length(item);
    return cbor_bytestring_handle(item);
}
