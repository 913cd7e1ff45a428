/* SPDX-License-Identifier: MIT
 *
 * Arguments of requests, and management calls made for them.
 */
#include <stdio.h>
#include <string.h>
#include "names.h"
#include "serve.h"
#include "text.h"

static void missing(struct answer *a, const char *name, const char *what)
{
    answer_fail(a, "bad-args", name, "", "the argument '%s' is missing or is not %s", name, what);
}

bool arg_uint(const struct request *r, struct answer *a, const char *name, uint64_t *value)
{
    if (cborx_uint(cborx_get(r->args, name), value)) return true;
    missing(a, name, "a whole number from 0 up");
    return false;
}

bool arg_uint_or(const struct request *r, struct answer *a, const char *name, uint64_t otherwise,
                 uint64_t *value)
{
    *value = otherwise;
    return cborx_get(r->args, name) == NULL || arg_uint(r, a, name, value);
}

bool arg_text(const struct request *r, struct answer *a, const char *name, char *out, size_t out_bytes)
{
    if (cborx_text(cborx_get(r->args, name), out, out_bytes)) return true;
    answer_fail(a, "bad-args", name, "", "the argument '%s' is missing, or is not text of at most %zu bytes",
                name, out_bytes - 1);
    return false;
}

bool arg_name(const struct request *r, struct answer *a, const char *name, char out[TITHE_NAME_MAX])
{
    if (!arg_text(r, a, name, out, TITHE_NAME_MAX)) return false;
    if (name_is_good(out)) return true;
    answer_fail(a, "bad-args", name, "use 1 to 31 letters, digits, and . _ + -, not starting with -",
                "'%s' cannot be a name", out);
    return false;
}

bool arg_data(const struct request *r, struct answer *a, const uint8_t **data, size_t *length)
{
    *data = cborx_bytes(cborx_get(r->args, "data"), length);
    if (*data != NULL && *length <= TITHE_IO_MAX) return true;
    static const uint8_t none[1];
    const cbor_item_t *item = cborx_get(r->args, "data");
    if (item != NULL && cbor_isa_bytestring(item) && cbor_bytestring_length(item) == 0) {
        *data = none;
        return true;
    }
    missing(a, "data", "a byte string of at most 4096 bytes");
    return false;
}

bool arg_vm(const struct steward *s, const struct request *r, struct answer *a, uint32_t *id,
            char thing[TITHE_NAME_MAX])
{
    const struct tithe_snapshot *snap = s->machine->snapshot;
    const cbor_item_t *item = cborx_get(r->args, "vm");
    uint64_t number = 0;
    bool by_id = cborx_uint(item, &number);
    *id = 0;
    thing[0] = 0;
    if (!by_id && !cborx_text(item, thing, TITHE_NAME_MAX)) {
        missing(a, "vm", "the id or name of a VM");
        return false;
    }
    for (uint32_t i = 0; i < snap->vm_count; i++) {
        const struct tithe_vm_snapshot *vm = &snap->vm[i];
        if (by_id ? vm->id != number : strcmp(vm->name, thing) != 0) continue;
        *id = vm->id;
        text_copy(thing, TITHE_NAME_MAX, vm->name);
    }
    if (*id == 0 && by_id) snprintf(thing, TITHE_NAME_MAX, "%llu", (unsigned long long)number);
    return true;
}

struct tithe_mgmt *mgmt_begin(uint32_t op, const struct request *r, bool changes)
{
    static struct tithe_mgmt m;
    memset(&m, 0, sizeof m);
    m.op = op;
    if (changes) {
        m.session = r->session;
        m.request = r->id;
    }
    return &m;
}

bool mgmt_call(struct steward *s, struct tithe_mgmt *m, struct answer *a, const char *thing)
{
    int64_t error = s->machine->mgmt(m);
    if (error >= 0) return true;
    m->reason[sizeof m->reason - 1] = 0;
    const char *code = name_of_error(error);
    answer_fail(a, code, thing, "", "%s", m->reason[0] != 0 ? m->reason : code);
    return false;
}
