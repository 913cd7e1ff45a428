/* SPDX-License-Identifier: MIT
 *
 * `tithe stats`, `ledger`, `disks`, `images`, `upload`.
 */
#include "cmd_host.h"

#include <inttypes.h>
#include <string.h>

#include "fields.h"
#include "image.h"
#include "json.h"
#include "listing.h"
#include "size.h"

const struct option_spec upload_options[] = {
    {"name", "NAME", "of the image (default: the file's)"},
    {NULL, NULL, NULL},
};

/* The name and the value of one of the pairs in "stats". */
static bool stat_pair(const cbor_item_t *pair, char *name, size_t n, uint64_t *value)
{
    return pair != NULL && cbor_isa_array(pair) && cbor_array_size(pair) == 2 &&
           cborx_text(cbor_array_handle(pair)[0], name, n) && cborx_uint(cbor_array_handle(pair)[1], value);
}

enum status cmd_stats(struct context *t, struct error *e)
{
    const char *prefix = context_arg(t, 0);
    struct listing l = {0};
    struct json j = {0};
    struct client *c;
    char name[80];
    uint64_t value;
    size_t i;
    enum status s = context_client(t, &c, e);

    if (s == STATUS_OK) s = listing_get(&l, c, "stats", "stats", e);
    if (s == STATUS_OK && t->json) j = json_begin(stdout);
    for (i = 0; s == STATUS_OK && i < listing_count(&l); i++) {
        if (!stat_pair(listing_at(&l, i), name, sizeof name, &value)) continue;
        if (prefix != NULL && strncmp(name, prefix, strlen(prefix)) != 0) continue;
        if (t->json)
            json_uint(&j, name, value);
        else
            printf("%-44s %" PRIu64 "\n", name, value);
    }
    if (s == STATUS_OK && t->json) json_end(&j);
    listing_free(&l);
    return s;
}

enum status cmd_ledger(struct context *t, struct error *e)
{
    static const char *const parts[] = {"free_pages", "core_pages", "table_pages", "guest_pages",
                                        "total_pages"};
    static const char *const entries[] = {"ballooned_entries", "swapped_entries", "compressed_entries"};
    struct answer a = {0};
    struct client *c;
    uint64_t differences;
    char size[16];
    size_t i;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    client_begin(c, "ledger");
    s = ask(t, c, &a, e);
    if (s == STATUS_OK) {
        for (i = 0; !t->json && i < sizeof parts / sizeof parts[0]; i++)
            printf("%-18s %10" PRIu64 "  %s\n", parts[i], field_uint(a.ok, parts[i]),
                   size_text(field_uint(a.ok, parts[i]), size, sizeof size));
        for (i = 0; !t->json && i < sizeof entries / sizeof entries[0]; i++)
            printf("%-18s %10" PRIu64 "\n", entries[i], field_uint(a.ok, entries[i]));
        differences = field_uint(a.ok, "differences");
        if (differences > 0)
            s = error_set(e, STATUS_VERIFY, "ledger", "ledger", "keep the log: this is a fault of Tithe's",
                          "%" PRIu64 " difference(s), the first: %s", differences, field_text(a.ok, "first"));
        else if (!t->json)
            puts("the ledger balances");
    }
    answer_free(&a);
    return s;
}

enum status cmd_images(struct context *t, struct error *e)
{
    struct listing l = {0};
    struct client *c;
    size_t i;
    enum status s = context_client(t, &c, e);

    if (s == STATUS_OK) s = listing_get(&l, c, "images", "images", e);
    if (s == STATUS_OK && t->json) {
        listing_json(&l);
    } else if (s == STATUS_OK) {
        printf("%-31s %12s\n", "NAME", "BYTES");
        for (i = 0; i < listing_count(&l); i++) {
            const cbor_item_t *image = listing_at(&l, i);

            printf("%-31s %12" PRIu64 "%s%s\n", field_text(image, "name"), field_uint(image, "bytes"),
                   field_bool(image, "upload") ? "  uploaded" : "",
                   field_bool(image, "sealed") ? "" : "  unfinished");
        }
    }
    listing_free(&l);
    return s;
}

static void print_disk(const cbor_item_t *d)
{
    char size[16], reach[16];
    size_t i;

    printf("disk %" PRIu64 "  %s  %s  %s  DMA below %s\n", field_uint(d, "index"), field_text(d, "name"),
           field_text(d, "model"), size_text(field_uint(d, "sectors") / 8, size, sizeof size),
           size_text(field_uint(d, "dma_limit_pages"), reach, sizeof reach));
    printf("    reads %" PRIu64 " (%" PRIu64 " sectors)  writes %" PRIu64 " (%" PRIu64
           " sectors)  flushes %" PRIu64 "  retries %" PRIu64 "  errors %" PRIu64 "\n",
           field_uint(d, "reads"), field_uint(d, "read_sectors"), field_uint(d, "writes"),
           field_uint(d, "written_sectors"), field_uint(d, "flushes"), field_uint(d, "retries"),
           field_uint(d, "errors"));
    printf("    partitions: %s\n", field_text(d, "table"));
    for (i = 0; i < field_count(d, "partitions"); i++) {
        const cbor_item_t *p = field_at(d, "partitions", i);

        printf("    %3" PRIu64 "  %8s at sector %-10" PRIu64 "  %s  %s%s\n", field_uint(p, "number"),
               size_text(field_uint(p, "sectors") / 8, size, sizeof size), field_uint(p, "first_sector"),
               field_text(p, "type"), field_text(p, "name"), field_bool(p, "swap") ? "  (Tithe's swap)" : "");
    }
}

enum status cmd_disks(struct context *t, struct error *e)
{
    struct listing l = {0};
    struct client *c;
    size_t i;
    enum status s = context_client(t, &c, e);

    if (s == STATUS_OK) s = listing_get(&l, c, "disks", "disks", e);
    if (s == STATUS_OK && t->json)
        listing_json(&l);
    else if (s == STATUS_OK && listing_count(&l) == 0)
        puts("the machine has no disk that Tithe can use");
    for (i = 0; s == STATUS_OK && !t->json && i < listing_count(&l); i++) print_disk(listing_at(&l, i));
    listing_free(&l);
    return s;
}

enum status cmd_upload(struct context *t, struct error *e)
{
    const char *path = context_arg(t, 0), *given = option_value(t->options, "name");
    char name[IMAGE_NAME_MAX];
    struct client *c;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    if (given == NULL)
        image_name_of(path, name);
    else
        snprintf(name, sizeof name, "%.*s", (int)sizeof name - 1, given);
    s = image_upload(c, path, name, true, e);
    if (s != STATUS_OK) return s;
    if (t->json) {
        struct json j = json_begin(stdout);

        json_text(&j, "name", name);
        json_end(&j);
    } else {
        printf("image '%s' is there\n", name);
    }
    return STATUS_OK;
}

enum status cmd_images_delete(struct context *t, struct error *e)
{
    struct answer a = {0};
    struct cborx_writer *w;
    struct client *c;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    w = client_begin(c, "image-delete");
    cborx_put_text(w, "name", context_arg(t, 0));
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json) printf("image '%s' deleted\n", context_arg(t, 0));
    answer_free(&a);
    return s;
}
