/* SPDX-License-Identifier: MIT
 *
 * Lists that come in several answers: each but the last has a "more", to be given as "after" in the next
 * request.
 */
#ifndef CONSOLE_LISTING_H
#define CONSOLE_LISTING_H

#include "client.h"

#define LISTING_PAGES_MAX 64u

struct listing {
    const char *key; /* of the array */
    struct answer pages[LISTING_PAGES_MAX];
    size_t page_count;
};

/* Asks until there is no more. Free it also after an error. */
enum status listing_get(struct listing *l, struct client *c, const char *verb, const char *key,
                        struct error *e);
void listing_free(struct listing *l);

size_t listing_count(const struct listing *l);
const cbor_item_t *listing_at(const struct listing *l, size_t index);

/* Another field of the first answer, e.g. "host". */
const cbor_item_t *listing_field(const struct listing *l, const char *key);

/* As one JSON object on a line. */
void listing_json(const struct listing *l);

#endif
