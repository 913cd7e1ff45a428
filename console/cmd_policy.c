/* SPDX-License-Identifier: MIT
 *
 * `tithe policy …`.
 */
#include "cmd_policy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fields.h"
#include "json.h"
#include "size.h"

const struct option_spec policy_show_options[] = {
    {"slot", "active|previous|staged", "which one, when no name is given (default: active)"},
    {NULL, NULL, NULL},
};

const struct option_spec policy_rollback_options[] = {
    {"reason", "TEXT", "goes into events and log"},
    {NULL, NULL, NULL},
};

enum status cmd_policy_list(struct context *t, struct error *e)
{
    struct answer a = {0};
    struct client *c;
    size_t i;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    client_begin(c, "policy-list");
    s = ask(t, c, &a, e);
    for (i = 0; s == STATUS_OK && !t->json && i < field_count(a.ok, "policies"); i++) {
        const cbor_item_t *p = field_at(a.ok, "policies", i);

        printf("%-31s %s\n", field_text(p, "name"), field_text(p, "state"));
    }
    answer_free(&a);
    return s;
}

/* One value of a policy's parameters. */
static void print_param(const cbor_item_t *value)
{
    char text[256];
    double number;
    bool flag;

    if (cborx_number(value,
                     &number)) /* first: libcbor does not let one ask a float whether it is a boolean */
        printf("%.15g", number);
    else if (cborx_bool(value, &flag))
        fputs(flag ? "true" : "false", stdout);
    else if (cborx_text(value, text, sizeof text))
        printf("\"%s\"", text);
}

static void print_params(const cbor_item_t *params)
{
    size_t i;

    for (i = 0; params != NULL && cbor_isa_map(params) && i < cbor_map_size(params); i++) {
        const struct cbor_pair *p = &cbor_map_handle(params)[i];

        printf("  %.*s = ", (int)cbor_string_length(p->key), (const char *)cbor_string_handle(p->key));
        print_param(p->value);
        putchar('\n');
    }
}

enum status cmd_policy_info(struct context *t, struct error *e)
{
    struct answer a = {0};
    struct client *c;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    client_begin(c, "policy-info");
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json) {
        printf("%s (%s)%s\n", field_text(a.ok, "name"), field_text(a.ok, "title"),
               field_bool(a.ok, "trial") ? ", on trial" : "");
        printf("previous: %s\n", field_text(a.ok, "previous"));
        printf("ticks: %" PRIu64 ", errors: %" PRIu64 ", activations: %" PRIu64 ", rollbacks: %" PRIu64
               ", steward deaths under it: %" PRIu64 "\n",
               field_uint(a.ok, "ticks"), field_uint(a.ok, "errors"), field_uint(a.ok, "activations"),
               field_uint(a.ok, "rollbacks"), field_uint(a.ok, "deaths"));
        if (*field_text(a.ok, "last_error") != '\0')
            printf("last error: %s\n", field_text(a.ok, "last_error"));
        if (*field_text(a.ok, "rollback_reason") != '\0')
            printf("last rollback: %s\n", field_text(a.ok, "rollback_reason"));
        print_params(cborx_get(a.ok, "params"));
    }
    answer_free(&a);
    return s;
}

/* The whole source, in chunks, into a stream. */
static enum status fetch_source(struct context *t, struct client *c, char *name, size_t n, FILE *out,
                                struct error *e)
{
    const char *asked = context_arg(t, 0), *slot = option_value(t->options, "slot");
    uint64_t at = 0, total;

    do {
        struct cborx_writer *w = client_begin(c, "policy-show");
        struct answer a = {0};
        const uint8_t *data;
        size_t length = 0;
        enum status s;

        if (asked != NULL) cborx_put_text(w, "name", asked);
        if (slot != NULL) cborx_put_text(w, "slot", slot);
        cborx_put_uint(w, "offset", at);
        s = client_call(c, &a, e);
        if (s != STATUS_OK) return s;
        data = cborx_bytes(cborx_get(a.ok, "data"), &length);
        if (data != NULL) fwrite(data, 1, length, out);
        snprintf(name, n, "%s", field_text(a.ok, "name"));
        total = field_uint(a.ok, "total");
        at += length;
        answer_free(&a);
        if (length == 0) break;
    } while (at < total);
    return STATUS_OK;
}

enum status cmd_policy_show(struct context *t, struct error *e)
{
    char *source = NULL, name[64] = "";
    size_t bytes = 0;
    struct client *c;
    FILE *keep;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    keep = open_memstream(&source, &bytes);
    if (keep == NULL) return error_set(e, STATUS_USAGE, "no-memory", "policy show", "", "no memory");
    s = fetch_source(t, c, name, sizeof name, keep, e);
    fclose(keep);
    if (s == STATUS_OK && t->json) {
        struct json j = json_begin(stdout);

        json_text(&j, "name", name);
        json_bytes(&j, "source", source, bytes);
        json_end(&j);
    } else if (s == STATUS_OK) {
        fwrite(source, 1, bytes, stdout);
    }
    free(source);
    return s;
}

/* What check and load have to say: the plan for the machine as it is now. */
static void print_check(const cbor_item_t *ok)
{
    char size[16];
    size_t i;

    for (i = 0; i < field_count(ok, "prints"); i++) {
        char line[512];

        if (cborx_text(field_at(ok, "prints", i), line, sizeof line)) printf("  | %s\n", line);
    }
    for (i = 0; i < field_count(ok, "plan"); i++) {
        const cbor_item_t *action = field_at(ok, "plan", i);

        const char *verb = field_text(action, "verb"), *way = field_text(action, "way");

        printf("  VM %-4" PRIu64 " %s %s%-8s %s%s%s\n", field_uint(action, "vm"), verb,
               strcmp(verb, "balloon") == 0 ? "to " : "",
               size_text(field_uint(action, "pages"), size, sizeof size), way, *way != '\0' ? " " : "",
               field_text(action, "verdict"));
    }
    if (field_given(ok, "more_actions")) printf("  and %" PRIu64 " more\n", field_uint(ok, "more_actions"));
    if (field_count(ok, "plan") == 0) puts("  its plan for now is empty");
}

static enum status check_or_load(struct context *t, const char *verb, struct error *e)
{
    bool load = strcmp(verb, "policy-load") == 0;
    struct answer a = {0};
    struct client *c;
    enum status s = context_client(t, &c, e);

    if (s == STATUS_OK) s = policy_source(c, verb, context_arg(t, 0), e);
    if (s != STATUS_OK) return s;
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json) {
        if (!load)
            printf("%s (%s) is good; now it would plan:\n", field_text(a.ok, "name"),
                   field_text(a.ok, "title"));
        else if (field_given(a.ok, "trial_ticks"))
            printf("%s (%s) is active, on trial for %" PRIu64 " ticks; it plans:\n", field_text(a.ok, "name"),
                   field_text(a.ok, "title"), field_uint(a.ok, "trial_ticks"));
        else
            printf("%s (%s) is active; it plans:\n", field_text(a.ok, "name"), field_text(a.ok, "title"));
        print_check(a.ok);
    }
    if (s == STATUS_OK && field_uint(a.ok, "refused") > 0)
        s = error_set(e, STATUS_REFUSED, "refused", context_arg(t, 0),
                      "mend the script: the machine refuses such a plan whole",
                      "%" PRIu64 " actions of its plan break a rule", field_uint(a.ok, "refused"));
    answer_free(&a);
    return s;
}

enum status cmd_policy_check(struct context *t, struct error *e)
{
    return check_or_load(t, "policy-check", e);
}

enum status cmd_policy_load(struct context *t, struct error *e)
{
    return check_or_load(t, "policy-load", e);
}

enum status cmd_policy_rollback(struct context *t, struct error *e)
{
    const char *reason = option_value(t->options, "reason");
    struct cborx_writer *w;
    struct answer a = {0};
    struct client *c;
    enum status s = context_client(t, &c, e);

    if (s != STATUS_OK) return s;
    w = client_begin(c, "policy-rollback");
    if (reason != NULL) cborx_put_text(w, "reason", reason);
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json) printf("%s is active again\n", field_text(a.ok, "name"));
    answer_free(&a);
    return s;
}

/* true, false, a number, or else a text; "…" in the value itself makes it a text in any case. */
static void put_param(struct cborx_writer *w, const char *text)
{
    char *end, bare[256];
    size_t n = strlen(text);
    double number = strtod(text, &end);

    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        cborx_put_bool(w, "value", strcmp(text, "true") == 0);
    } else if (n > 1 && text[0] == '"' && text[n - 1] == '"' && n < sizeof bare) {
        snprintf(bare, sizeof bare, "%.*s", (int)(n - 2), text + 1);
        cborx_put_text(w, "value", bare);
    } else if (n > 0 && *end == '\0' && strspn(text, "-0123456789") == n && n < 18) {
        cborx_put_int(w, "value", strtoll(text, NULL, 10));
    } else if (n > 0 && *end == '\0') {
        cborx_put_double(w, "value", number);
    } else {
        cborx_put_text(w, "value", text);
    }
}

enum status cmd_policy_set(struct context *t, struct error *e)
{
    struct cborx_writer *w;
    struct answer a = {0};
    struct client *c;
    char name[64];
    const char *first = context_arg(t, 0), *value = context_arg(t, 1), *equals = strchr(first, '=');
    enum status s;

    snprintf(name, sizeof name, "%s", first);
    if (value == NULL && equals != NULL && (size_t)(equals - first) < sizeof name) {
        name[equals - first] = '\0';
        value = equals + 1;
    }
    if (value == NULL)
        return error_set(e, STATUS_USAGE, "usage", first, "say: tithe policy set PARAMETER VALUE",
                         "no value given");
    s = context_client(t, &c, e);
    if (s != STATUS_OK) return s;
    w = client_begin(c, "policy-set");
    cborx_put_text(w, "name", name);
    put_param(w, value);
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json) print_params(cborx_get(a.ok, "params"));
    answer_free(&a);
    return s;
}
