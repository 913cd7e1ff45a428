/* SPDX-License-Identifier: MIT
 *
 * Verbs about guest images, in the machine's archive or uploaded.
 */
#include <string.h>
#include "serve.h"
#include "text.h"

void verb_images(struct steward *s, const struct request *r, struct answer *a)
{
    enum { PER_ANSWER = 64 };
    uint64_t after, index;
    if (!arg_uint_or(r, a, "after", 0, &after)) return;
    cborx_put_array(&a->w, "images");
    for (index = after; index < after + PER_ANSWER; index++) {
        struct tithe_mgmt *m = mgmt_begin(TITHE_OP_IMAGE_NEXT, r, false);
        m->u.image.index = (uint32_t)index;
        if (index > UINT32_MAX || s->machine->mgmt(m) < 0) break;
        cborx_put_map(&a->w, NULL);
        put_text_bytes(&a->w, "name", m->u.image.name, sizeof m->u.image.name);
        cborx_put_uint(&a->w, "bytes", m->u.image.bytes);
        cborx_put_bool(&a->w, "sealed", m->u.image.sealed != 0);
        cborx_put_bool(&a->w, "upload", m->u.image.upload != 0);
        cborx_end(&a->w);
    }
    cborx_end(&a->w);
    if (index == after + PER_ANSWER) cborx_put_uint(&a->w, "more", index);
}

/* The call about the image `name`, whose parameters are filled in. */
static void image_call(struct steward *s, struct tithe_mgmt *m, struct answer *a, const char *name)
{
    if (mgmt_call(s, m, a, name)) cborx_put_text(&a->w, "name", name);
}

static void image_verb(struct steward *s, const struct request *r, struct answer *a, uint32_t op)
{
    struct tithe_mgmt *m = mgmt_begin(op, r, true);
    char name[TITHE_NAME_MAX];
    if (!arg_name(r, a, "name", name)) return;
    text_copy(m->u.image.name, sizeof m->u.image.name, name);
    if (op == TITHE_OP_IMAGE_CREATE && !arg_uint(r, a, "bytes", &m->u.image.bytes)) return;
    image_call(s, m, a, name);
}

void verb_image_create(struct steward *s, const struct request *r, struct answer *a)
{
    image_verb(s, r, a, TITHE_OP_IMAGE_CREATE);
}

void verb_image_seal(struct steward *s, const struct request *r, struct answer *a)
{
    image_verb(s, r, a, TITHE_OP_IMAGE_SEAL);
}

void verb_image_delete(struct steward *s, const struct request *r, struct answer *a)
{
    image_verb(s, r, a, TITHE_OP_IMAGE_DELETE);
}

void verb_image_write(struct steward *s, const struct request *r, struct answer *a)
{
    struct tithe_mgmt *m = mgmt_begin(TITHE_OP_IMAGE_WRITE, r, true);
    char name[TITHE_NAME_MAX];
    const uint8_t *data;
    size_t length;
    if (!arg_name(r, a, "name", name) || !arg_uint(r, a, "offset", &m->u.io.offset) ||
        !arg_data(r, a, &data, &length)) {
        return;
    }
    text_copy(m->u.io.name, sizeof m->u.io.name, name);
    m->u.io.length = length;
    memcpy(m->u.io.data, data, length);
    image_call(s, m, a, name);
}
