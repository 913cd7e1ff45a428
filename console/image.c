/* SPDX-License-Identifier: MIT */
#include "image.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "clock.h"
#include "fields.h"
#include "files.h"
#include "listing.h"

#define CHUNK_BYTES      4096u
#define CRC_SUFFIX_CHARS 9u /* "-" and eight digits */

void image_name_of(const char *path, char *name)
{
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    size_t i;

    for (i = 0; base[i] != '\0' && i < IMAGE_NAME_MAX - 1; i++) {
        bool fits = (base[i] >= 'a' && base[i] <= 'z') || (base[i] >= 'A' && base[i] <= 'Z') ||
                    (base[i] >= '0' && base[i] <= '9') || base[i] == '.' || base[i] == '_' ||
                    (i > 0 && (base[i] == '-' || base[i] == '+'));

        name[i] = fits ? base[i] : '_';
    }
    name[i] = '\0';
}

static enum status simple_call(struct client *c, const char *verb, const char *name, uint64_t bytes,
                               struct error *e)
{
    struct cborx_writer *w = client_begin(c, verb);
    struct answer a = {0};
    enum status s;

    cborx_put_text(w, "name", name);
    if (bytes > 0) cborx_put_uint(w, "bytes", bytes);
    s = client_call(c, &a, e);
    answer_free(&a);
    return s;
}

static void show_progress(const char *name, size_t done, size_t total, double began_s)
{
    double took_s = clock_now_s() - began_s;

    fprintf(stderr, "%supload %s: %zu of %zu KiB, %.0f KiB/s%s", isatty(2) ? "\r" : "", name, done / 1024,
            total / 1024, took_s > 0 ? (double)done / 1024 / took_s : 0.0,
            isatty(2) && done < total ? "  " : "\n");
}

static enum status write_chunks(struct client *c, const char *name, const uint8_t *data, size_t length,
                                bool progress, struct error *e)
{
    double began_s = clock_now_s(), shown_s = began_s;
    size_t at;

    for (at = 0; at < length;) {
        size_t n = length - at < CHUNK_BYTES ? length - at : CHUNK_BYTES;
        struct cborx_writer *w = client_begin(c, "image-write");
        struct answer a = {0};
        enum status s;

        cborx_put_text(w, "name", name);
        cborx_put_uint(w, "offset", at);
        cborx_put_bytes(w, "data", data + at, n);
        s = client_call(c, &a, e);
        answer_free(&a);
        if (s != STATUS_OK) return s;
        at += n;
        if (progress && (at == length || clock_now_s() - shown_s > (isatty(2) ? 0.2 : 5.0))) {
            show_progress(name, at, length, began_s);
            shown_s = clock_now_s();
        }
    }
    return STATUS_OK;
}

static enum status upload_bytes(struct client *c, const char *name, const uint8_t *data, size_t length,
                                bool progress, struct error *e)
{
    struct error ignored;
    enum status s = simple_call(c, "image-create", name, length, e);

    if (s != STATUS_OK) return s;
    s = write_chunks(c, name, data, length, progress, e);
    if (s == STATUS_OK) s = simple_call(c, "image-seal", name, 0, e);
    if (s != STATUS_OK) simple_call(c, "image-delete", name, 0, &ignored);
    return s;
}

static enum status read_image(const char *path, uint8_t **data, size_t *length, struct error *e)
{
    enum status s = file_read(path, IMAGE_MAX_BYTES, data, length, e);

    if (s != STATUS_OK || *length > 0) return s;
    free(*data);
    return error_set(e, STATUS_USAGE, "empty-file", path, "name a kernel, initrd or module", "is empty");
}

enum status image_upload(struct client *c, const char *path, const char *name, bool progress, struct error *e)
{
    uint8_t *data;
    size_t length;
    enum status s = read_image(path, &data, &length, e);

    if (s != STATUS_OK) return s;
    s = upload_bytes(c, name, data, length, progress, e);
    free(data);
    return s;
}

/* Whether the machine has a usable image of this name and length. */
static enum status has_image(struct client *c, const char *name, size_t length, bool *has, struct error *e)
{
    struct listing l = {0};
    enum status s = listing_get(&l, c, "images", "images", e);
    size_t i;

    *has = false;
    for (i = 0; s == STATUS_OK && i < listing_count(&l); i++) {
        const cbor_item_t *image = listing_at(&l, i);

        if (strcmp(field_text(image, "name"), name) == 0)
            *has = field_uint(image, "bytes") == length && field_bool(image, "sealed");
    }
    listing_free(&l);
    return s;
}

enum status image_resolve(struct client *c, const char *text, char *name, bool progress, struct error *e)
{
    uint8_t *data;
    size_t length, n;
    bool has;
    enum status s;

    if (strchr(text, '/') == NULL && access(text, F_OK) < 0) {
        snprintf(name, IMAGE_NAME_MAX, "%.*s", (int)IMAGE_NAME_MAX - 1, text);
        return STATUS_OK;
    }
    s = read_image(text, &data, &length, e);
    if (s != STATUS_OK) return s;
    /* The name tells the content, so that a file is not sent twice and a changed one is not mistaken for it.
     */
    image_name_of(text, name);
    n = strlen(name);
    if (n > IMAGE_NAME_MAX - 1 - CRC_SUFFIX_CHARS) n = IMAGE_NAME_MAX - 1 - CRC_SUFFIX_CHARS;
    snprintf(name + n, IMAGE_NAME_MAX - n, "-%08lx", crc32(crc32(0, NULL, 0), data, (unsigned)length));
    s = has_image(c, name, length, &has, e);
    if (s == STATUS_OK && !has) s = upload_bytes(c, name, data, length, progress, e);
    free(data);
    return s;
}
