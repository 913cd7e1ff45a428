/* SPDX-License-Identifier: MIT
 *
 * JSON output: written as it comes, commas and escapes taken care of.
 */
#ifndef CONSOLE_JSON_H
#define CONSOLE_JSON_H

#include <cbor.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "error.h"

struct json {
    FILE *out;
    bool later; /* something precedes in the innermost object or array */
};

/* One object at the top; json_end() closes it and ends the line. */
struct json json_begin(FILE *out);
void json_end(struct json *j);

/* Each takes a key inside an object, NULL inside an array. */
void json_text(struct json *j, const char *key, const char *text);
void json_bytes(struct json *j, const char *key, const char *bytes,
                size_t length); /* beyond ASCII as Latin-1 */
void json_uint(struct json *j, const char *key, uint64_t value);
void json_number(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_open(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_close(struct json *j, char bracket);                 /* '}' or ']' */

/* Any CBOR item of the protocol. Byte strings become text, bytes beyond ASCII escaped as Latin-1. */
void json_cbor(struct json *j, const char *key, const cbor_item_t *item);

/* {"error":{…}} on one line. */
void json_error(FILE *out, const struct error *e);

#endif
