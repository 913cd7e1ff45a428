/* SPDX-License-Identifier: MIT */
#include "listing.h"

#include <string.h>

#include "fields.h"
#include "json.h"

enum status listing_get(struct listing *l, struct client *c, const char *verb, const char *key,
                        struct error *e)
{
    memset(l, 0, sizeof *l);
    l->key = key;
    for (;;) {
        struct cborx_writer *w = client_begin(c, verb);
        struct answer *page = &l->pages[l->page_count];
        enum status s;

        if (l->page_count > 0) cborx_put_uint(w, "after", field_uint(l->pages[l->page_count - 1].ok, "more"));
        s = client_call(c, page, e);
        if (s != STATUS_OK) return s;
        l->page_count++;
        if (!field_given(page->ok, "more")) return STATUS_OK;
        if (l->page_count == LISTING_PAGES_MAX)
            return error_set(e, STATUS_REFUSED, "too-long", verb, "", "the list has no end");
    }
}

void listing_free(struct listing *l)
{
    while (l->page_count > 0) answer_free(&l->pages[--l->page_count]);
}

size_t listing_count(const struct listing *l)
{
    size_t i, n = 0;

    for (i = 0; i < l->page_count; i++) n += field_count(l->pages[i].ok, l->key);
    return n;
}

const cbor_item_t *listing_at(const struct listing *l, size_t index)
{
    size_t i;

    for (i = 0; i < l->page_count; i++) {
        size_t n = field_count(l->pages[i].ok, l->key);

        if (index < n) return field_at(l->pages[i].ok, l->key, index);
        index -= n;
    }
    return NULL;
}

const cbor_item_t *listing_field(const struct listing *l, const char *key)
{
    return l->page_count > 0 ? cborx_get(l->pages[0].ok, key) : NULL;
}

void listing_json(const struct listing *l)
{
    static const char *const others[] = {"host", "policy"};
    struct json j = json_begin(stdout);
    size_t i;

    for (i = 0; i < sizeof others / sizeof others[0]; i++)
        if (listing_field(l, others[i]) != NULL) json_cbor(&j, others[i], listing_field(l, others[i]));
    json_open(&j, l->key, '[');
    for (i = 0; i < listing_count(l); i++) json_cbor(&j, NULL, listing_at(l, i));
    json_close(&j, ']');
    json_end(&j);
}
