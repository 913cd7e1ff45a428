/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static void quoted(FILE *out, const unsigned char *text, size_t bytes, bool latin1)
{
    size_t i;

    fputc('"', out);
    for (i = 0; i < bytes; i++) {
        unsigned char c = text[i];

        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c == '\n')
            fputs("\\n", out);
        else if (c < 0x20 || c == 0x7f || (latin1 && c >= 0x80))
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

static void lead(struct json *j, const char *key)
{
    if (j->later) fputc(',', j->out);
    j->later = true;
    if (key == NULL) return;
    quoted(j->out, (const unsigned char *)key, strlen(key), false);
    fputc(':', j->out);
}

struct json json_begin(FILE *out)
{
    fputc('{', out);
    return (struct json){.out = out};
}

void json_end(struct json *j)
{
    fputs("}\n", j->out);
    fflush(j->out);
}

void json_text(struct json *j, const char *key, const char *text)
{
    lead(j, key);
    quoted(j->out, (const unsigned char *)text, strlen(text), false);
}

void json_bytes(struct json *j, const char *key, const char *bytes, size_t length)
{
    lead(j, key);
    quoted(j->out, (const unsigned char *)bytes, length, true);
}

void json_uint(struct json *j, const char *key, uint64_t value)
{
    lead(j, key);
    fprintf(j->out, "%" PRIu64, value);
}

void json_number(struct json *j, const char *key, double value)
{
    lead(j, key);
    if (isfinite(value))
        fprintf(j->out, "%.15g", value);
    else
        fputs("null", j->out); /* JSON knows no infinity */
}

void json_bool(struct json *j, const char *key, bool value)
{
    lead(j, key);
    fputs(value ? "true" : "false", j->out);
}

void json_open(struct json *j, const char *key, char bracket)
{
    lead(j, key);
    fputc(bracket, j->out);
    j->later = false;
}

void json_close(struct json *j, char bracket)
{
    fputc(bracket, j->out);
    j->later = true;
}

static void cbor_map(struct json *j, const cbor_item_t *map)
{
    const struct cbor_pair *pairs = cbor_map_handle(map);
    size_t i;

    for (i = 0; i < cbor_map_size(map); i++) {
        char key[64];
        size_t n = cbor_string_length(pairs[i].key);

        snprintf(key, sizeof key, "%.*s", (int)n, (const char *)cbor_string_handle(pairs[i].key));
        json_cbor(j, key, pairs[i].value);
    }
}

void json_cbor(struct json *j, const char *key, const cbor_item_t *item)
{
    size_t i;

    switch (cbor_typeof(item)) {
    case CBOR_TYPE_UINT: json_uint(j, key, cbor_get_int(item)); break;
    case CBOR_TYPE_NEGINT: json_number(j, key, -1.0 - (double)cbor_get_int(item)); break;
    case CBOR_TYPE_BYTESTRING:
        lead(j, key);
        quoted(j->out, cbor_bytestring_handle(item), cbor_bytestring_length(item), true);
        break;
    case CBOR_TYPE_STRING:
        lead(j, key);
        quoted(j->out, cbor_string_handle(item), cbor_string_length(item), false);
        break;
    case CBOR_TYPE_ARRAY:
        json_open(j, key, '[');
        for (i = 0; i < cbor_array_size(item); i++) json_cbor(j, NULL, cbor_array_handle(item)[i]);
        json_close(j, ']');
        break;
    case CBOR_TYPE_MAP:
        json_open(j, key, '{');
        cbor_map(j, item);
        json_close(j, '}');
        break;
    case CBOR_TYPE_TAG: /* the protocol has none, and the reader lets none through */ break;
    case CBOR_TYPE_FLOAT_CTRL:
        if (!cbor_float_ctrl_is_ctrl(item)) {
            json_number(j, key, cbor_float_get_float(item));
        } else if (cbor_is_bool(item)) {
            json_bool(j, key, cbor_get_bool(item));
        } else {
            lead(j, key);
            fputs("null", j->out);
        }
        break;
    }
}

void json_error(FILE *out, const struct error *e)
{
    struct json j = json_begin(out);

    json_open(&j, "error", '{');
    json_text(&j, "code", e->code);
    json_text(&j, "thing", e->thing);
    json_text(&j, "reason", e->reason);
    json_text(&j, "mend", e->mend);
    json_close(&j, '}');
    json_end(&j);
}
