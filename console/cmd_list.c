/* SPDX-License-Identifier: MIT
 *
 * `tithe list` and `tithe info`.
 */
#include <inttypes.h>
#include <string.h>

#include "cmd_vm.h"
#include "fields.h"
#include "json.h"
#include "listing.h"
#include "size.h"

static const char *size_field(const cbor_item_t *map, const char *key)
{
    static char texts[8][16];
    static unsigned next;

    return size_text(field_uint(map, key), texts[next++ % 8], sizeof texts[0]);
}

static void print_vm_line(const cbor_item_t *vm)
{
    const char *state = field_text(vm, "state");

    printf("%4" PRIu64 "  %-20s %-8s %7s %7s %7s %7" PRIu64 " %5" PRIu64 " %7s%c %8s\n", field_uint(vm, "id"),
           field_text(vm, "name"), state, size_field(vm, "size_pages"), size_field(vm, "min_pages"),
           size_field(vm, "max_pages"), field_uint(vm, "shares"), field_uint(vm, "vcpus"),
           size_field(vm, "target_pages"), field_bool(vm, "held") ? '*' : ' ',
           size_field(vm, "consumed_pages"));
}

enum status cmd_list(struct context *t, struct error *e)
{
    struct listing l = {0};
    struct client *c;
    size_t i;
    enum status s = context_client(t, &c, e);

    if (s == STATUS_OK) s = listing_get(&l, c, "list", "vms", e);
    if (s == STATUS_OK && t->json) {
        listing_json(&l);
    } else if (s == STATUS_OK) {
        printf("%4s  %-20s %-8s %7s %7s %7s %7s %5s %7s  %8s\n", "ID", "NAME", "STATE", "SIZE", "MIN", "MAX",
               "SHARES", "VCPUS", "TARGET", "CONSUMED");
        for (i = 0; i < listing_count(&l); i++) print_vm_line(listing_at(&l, i));
    }
    listing_free(&l);
    return s;
}

/* CPUs and virtual CPUs, each on a line. */
static void print_array(const char *label, const cbor_item_t *array)
{
    size_t i;

    for (i = 0; i < cbor_array_size(array); i++) {
        const cbor_item_t *m = cbor_array_handle(array)[i];

        printf("%s %-*zu ", label, 25 - (int)strlen(label), i);
        if (field_given(m, "state"))
            printf("%s, CPU %" PRIu64 ", %.3f s\n", field_text(m, "state"), field_uint(m, "cpu"),
                   (double)field_uint(m, "cpu_ns") / 1e9);
        else
            printf("guests %.3f s, steward %.3f s, worker %.3f s, idle %.3f s, APIC id %" PRIu64 "\n",
                   (double)field_uint(m, "guest_ns") / 1e9, (double)field_uint(m, "steward_ns") / 1e9,
                   (double)field_uint(m, "worker_ns") / 1e9, (double)field_uint(m, "idle_ns") / 1e9,
                   field_uint(m, "apic_id"));
    }
}

/* One field on a line: sizes readable, times in seconds, the rest as it is. */
static void print_field(const char *name, size_t name_bytes, const cbor_item_t *value, int indent)
{
    char label[64], text[512];
    uint64_t number;
    double real;
    bool flag;

    snprintf(label, sizeof label, "%.*s", (int)name_bytes, name);
    if (cbor_isa_array(value)) {
        print_array(label, value);
        return;
    }
    if (cbor_isa_map(value)) {
        const struct cbor_pair *p = cbor_map_handle(value);
        size_t i;

        printf("%*s%s:\n", indent, "", label);
        for (i = 0; i < cbor_map_size(value); i++)
            print_field((const char *)cbor_string_handle(p[i].key), cbor_string_length(p[i].key), p[i].value,
                        indent + 2);
        return;
    }
    printf("%*s%-*s ", indent, "", 26 - indent, label);
    if (cborx_uint(value, &number)) {
        const char *unit = strrchr(label, '_');

        if (unit != NULL && strcmp(unit, "_pages") == 0)
            printf("%s (%" PRIu64 " pages)\n", size_text(number, text, sizeof text), number);
        else if (unit != NULL && strcmp(unit, "_ns") == 0)
            printf("%.3f s\n", (double)number / 1e9);
        else
            printf("%" PRIu64 "\n", number);
    } else if (cborx_number(value, &real)) {
        printf("%g\n", real);
    } else if (cborx_bool(value, &flag)) {
        puts(flag ? "yes" : "no");
    } else if (cborx_text(value, text, sizeof text)) {
        puts(text);
    } else {
        puts("?");
    }
}

/* What people look for first; the encoding orders keys by their length. */
static const char *const first_keys[] = {
    "id",           "name",           "state",          "stop_reason", "exit_code",  "machine",
    "vendor",       "now_ns",         "policy",         "cpus",        "cpu",        "vcpus",
    "vcpu",         "cpu_shares",     "size_pages",     "min_pages",   "max_pages",  "shares",
    "target_pages", "held",           "consumed_pages", "total_pages", "free_pages", "reserve_pages",
    "core_pages",   "overhead_pages", "guest_pages",
};
#define FIRST_KEYS (sizeof first_keys / sizeof first_keys[0])

static bool is_first_key(const char *name, size_t name_bytes)
{
    size_t i;

    for (i = 0; i < FIRST_KEYS; i++)
        if (strlen(first_keys[i]) == name_bytes && strncmp(first_keys[i], name, name_bytes) == 0) return true;
    return false;
}

static void print_in_order(const cbor_item_t *map)
{
    size_t i;

    for (i = 0; i < FIRST_KEYS; i++)
        if (field_given(map, first_keys[i]))
            print_field(first_keys[i], strlen(first_keys[i]), cborx_get(map, first_keys[i]), 0);
    for (i = 0; map != NULL && cbor_isa_map(map) && i < cbor_map_size(map); i++) {
        const struct cbor_pair *p = &cbor_map_handle(map)[i];
        const char *name = (const char *)cbor_string_handle(p->key);
        size_t name_bytes = cbor_string_length(p->key);

        if (!is_first_key(name, name_bytes)) print_field(name, name_bytes, p->value, 0);
    }
}

enum status cmd_info(struct context *t, struct error *e)
{
    const char *vm = context_arg(t, 0);
    struct answer a = {0};
    struct cborx_writer *w;
    struct client *c;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    w = client_begin(c, "info");
    if (vm != NULL) put_vm(w, vm);
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json) print_in_order(cborx_get(a.ok, vm != NULL ? "vm" : "host"));
    answer_free(&a);
    return s;
}
