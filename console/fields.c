/* SPDX-License-Identifier: MIT */
#include "fields.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

#define TEXTS      8
#define TEXT_BYTES 512

uint64_t field_uint(const cbor_item_t *map, const char *key)
{
    uint64_t value;

    return cborx_uint(cborx_get(map, key), &value) ? value : 0;
}

double field_number(const cbor_item_t *map, const char *key)
{
    double value;

    return cborx_number(cborx_get(map, key), &value) ? value : 0;
}

bool field_bool(const cbor_item_t *map, const char *key)
{
    const cbor_item_t *item = cborx_get(map, key);
    bool value;

    /* libcbor does not let one ask a float whether it is a boolean, and who knows what a peer sends. */
    if (item == NULL || !cbor_isa_float_ctrl(item) || !cbor_float_ctrl_is_ctrl(item)) return false;
    return cborx_bool(item, &value) && value;
}

const char *field_text(const cbor_item_t *map, const char *key)
{
    static char texts[TEXTS][TEXT_BYTES];
    static unsigned next;
    char *text = texts[next++ % TEXTS];

    if (!cborx_text(cborx_get(map, key), text, TEXT_BYTES)) *text = '\0';
    return text;
}

bool field_given(const cbor_item_t *map, const char *key)
{
    return cborx_get(map, key) != NULL;
}

size_t field_count(const cbor_item_t *map, const char *key)
{
    const cbor_item_t *array = cborx_get(map, key);

    return array != NULL && cbor_isa_array(array) ? cbor_array_size(array) : 0;
}

const cbor_item_t *field_at(const cbor_item_t *map, const char *key, size_t index)
{
    return index < field_count(map, key) ? cbor_array_handle(cborx_get(map, key))[index] : NULL;
}

void put_vm(struct cborx_writer *w, const char *vm)
{
    size_t n = strlen(vm);

    if (n > 0 && n < 10 && strspn(vm, "0123456789") == n)
        cborx_put_uint(w, "vm", strtoul(vm, NULL, 10));
    else
        cborx_put_text(w, "vm", vm);
}

enum status ask(struct context *t, struct client *c, struct answer *a, struct error *e)
{
    enum status s = client_call(c, a, e);

    if (s == STATUS_OK && t->json) {
        struct json j = {.out = stdout};

        json_cbor(&j, NULL, a->ok);
        putchar('\n');
    }
    return s;
}
