/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "abi_limits.h"
#include "cmd_policy.h"
#include "files.h"

#define CHUNK_BYTES 4096u

/* A policy is called as its file is, without ".lua". */
static enum status name_of(const char *path, char *name, size_t n, struct error *e)
{
    const char *base = strrchr(path, '/') != NULL ? strrchr(path, '/') + 1 : path;
    size_t length = strlen(base);

    if (length > 4 && strcmp(base + length - 4, ".lua") == 0) length -= 4;
    if (length > 0 && length < n) {
        snprintf(name, n, "%.*s", (int)length, base);
        return STATUS_OK;
    }
    return error_set(e, STATUS_USAGE, "bad-name", base, "rename the file",
                     "makes no policy name (1 to %zu characters before .lua)", n - 1);
}

static enum status stage(struct client *c, const char *name, const uint8_t *source, size_t length,
                         struct error *e)
{
    size_t at = 0;

    do {
        size_t n = length - at < CHUNK_BYTES ? length - at : CHUNK_BYTES;
        struct cborx_writer *w = client_begin(c, "policy-stage");
        struct answer a = {0};
        enum status s;

        cborx_put_text(w, "name", name);
        cborx_put_uint(w, "offset", at);
        cborx_put_bytes(w, "data", source + at, n);
        s = client_call(c, &a, e);
        answer_free(&a);
        if (s != STATUS_OK) return s;
        at += n;
    } while (at < length);
    return STATUS_OK;
}

enum status policy_source(struct client *c, const char *verb, const char *text, struct error *e)
{
    char name[NAME_MAX_BYTES];
    struct cborx_writer *w;
    uint8_t *source;
    size_t length;
    bool is_file = strchr(text, '/') != NULL || access(text, F_OK) == 0;
    enum status s = name_of(text, name, sizeof name, e);

    if (s == STATUS_OK && !is_file) {
        w = client_begin(c, verb);
        cborx_put_text(w, "file", name);
        return STATUS_OK;
    }
    if (s == STATUS_OK) s = file_read(text, POLICY_MAX_BYTES, &source, &length, e);
    if (s != STATUS_OK) return s;
    s = stage(c, name, source, length, e);
    if (s == STATUS_OK) {
        w = client_begin(c, verb);
        cborx_put_text(w, "name", name);
        cborx_put_uint(w, "bytes", length);
        cborx_put_uint(w, "crc32", crc32(crc32(0, NULL, 0), source, (unsigned)length));
    }
    free(source);
    return s;
}
