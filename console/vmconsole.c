/* SPDX-License-Identifier: MIT */
#include "vmconsole.h"

#include <string.h>

#include "clock.h"
#include "fields.h"

#define TYPE_BYTES 1024u
#define FULL_S     10.0 /* a guest that takes nothing for so long has no one reading */

static enum status read_at(struct vmconsole *v, uint64_t offset, struct answer *a, struct error *e)
{
    struct cborx_writer *w = client_begin(v->client, "console-read");

    put_vm(w, v->vm);
    cborx_put_uint(w, "offset", offset);
    return client_call(v->client, a, e);
}

enum status vmconsole_read(struct vmconsole *v, char *buf, size_t *length, struct error *e)
{
    struct answer a = {0};
    const uint8_t *data;
    enum status s = read_at(v, v->offset, &a, e);

    *length = 0;
    if (s != STATUS_OK) return s;
    data = cborx_bytes(cborx_get(a.ok, "data"), length);
    if (data == NULL || *length > VMCONSOLE_CHUNK_BYTES) *length = 0;
    if (*length > 0) {
        uint64_t from = field_uint(a.ok, "offset");

        if (from > v->offset) v->lost += from - v->offset;
        memcpy(buf, data, *length);
        v->offset = from + *length;
    }
    answer_free(&a);
    return STATUS_OK;
}

enum status vmconsole_end(struct vmconsole *v, uint64_t *offset, struct error *e)
{
    struct answer a = {0};
    enum status s = read_at(v, UINT64_MAX, &a, e);

    /* Not every machine likes an offset past the end; "total" says the same from the beginning. */
    if (s == STATUS_REFUSED) s = read_at(v, 0, &a, e);
    if (s == STATUS_OK) *offset = field_uint(a.ok, "total");
    answer_free(&a);
    return s;
}

enum status vmconsole_write(struct vmconsole *v, const char *text, size_t length, struct error *e)
{
    double until_s = clock_now_s() + FULL_S;

    while (length > 0) {
        struct cborx_writer *w = client_begin(v->client, "console-write");
        struct answer a = {0};
        size_t taken, n = length < TYPE_BYTES ? length : TYPE_BYTES;
        enum status s;

        put_vm(w, v->vm);
        cborx_put_bytes(w, "data", text, n);
        s = client_call(v->client, &a, e);
        taken = s == STATUS_OK ? (size_t)field_uint(a.ok, "written") : 0;
        answer_free(&a);
        if (s != STATUS_OK) return s;
        if (taken > n) taken = n;
        text += taken;
        length -= taken;
        if (taken > 0) {
            until_s = clock_now_s() + FULL_S;
            continue;
        }
        if (clock_now_s() > until_s)
            return error_set(e, STATUS_REFUSED, "console-full", v->vm,
                             "see what the guest does with 'tithe console'", "does not read what is typed");
        clock_sleep_s(0.05);
    }
    return STATUS_OK;
}

enum status vmconsole_ended(struct vmconsole *v, bool *ended, struct error *e)
{
    struct answer a = {0};
    struct cborx_writer *w = client_begin(v->client, "info");
    enum status s;

    put_vm(w, v->vm);
    s = client_call(v->client, &a, e);
    *ended = s == STATUS_OK && strcmp(field_text(cborx_get(a.ok, "vm"), "state"), "stopped") == 0;
    answer_free(&a);
    return s;
}
