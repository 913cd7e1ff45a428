/* SPDX-License-Identifier: MIT
 *
 * Reading and asking, in the short forms that verbs use.
 */
#ifndef CONSOLE_FIELDS_H
#define CONSOLE_FIELDS_H

#include "command.h"

/* A field of a map, or 0, false or "" when it is not there. Texts live until the next eight calls. */
uint64_t field_uint(const cbor_item_t *map, const char *key);
double field_number(const cbor_item_t *map, const char *key);
bool field_bool(const cbor_item_t *map, const char *key);
const char *field_text(const cbor_item_t *map, const char *key);
bool field_given(const cbor_item_t *map, const char *key);

/* Elements of an array field; none when it is not there. */
size_t field_count(const cbor_item_t *map, const char *key);
const cbor_item_t *field_at(const cbor_item_t *map, const char *key, size_t index);

/* Puts a VM by what the user called it: a number is an id, anything else a name. */
void put_vm(struct cborx_writer *w, const char *vm);

/* Sends what was begun, and prints the answer when JSON is wanted. The caller frees the answer. */
enum status ask(struct context *t, struct client *c, struct answer *a, struct error *e);

#endif
