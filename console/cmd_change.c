/* SPDX-License-Identifier: MIT
 *
 * Verbs that change one thing of one VM and answer with its id and name.
 */
#include <inttypes.h>
#include <string.h>

#include "abi_limits.h"
#include "cmd_vm.h"
#include "fields.h"
#include "size.h"

/* Sends what was begun and says in a line what was done. */
static enum status finish(struct context *t, struct client *c, const char *done, struct error *e)
{
    struct answer a = {0};
    enum status s = ask(t, c, &a, e);

    if (s == STATUS_OK && !t->json)
        printf("%s (id %" PRIu64 ") %s\n", field_text(a.ok, "name"), field_uint(a.ok, "id"), done);
    answer_free(&a);
    return s;
}

static enum status begin(struct context *t, const char *verb, struct client **c, struct cborx_writer **w,
                         struct error *e)
{
    enum status s = context_client(t, c, e);

    if (s != STATUS_OK) return s;
    *w = client_begin(*c, verb);
    put_vm(*w, context_arg(t, 0));
    return STATUS_OK;
}

static enum status simple(struct context *t, const char *verb, const char *done, struct error *e)
{
    struct cborx_writer *w;
    struct client *c;
    enum status s = begin(t, verb, &c, &w, e);

    return s == STATUS_OK ? finish(t, c, done, e) : s;
}

enum status cmd_destroy(struct context *t, struct error *e)
{
    return simple(t, "destroy", "destroyed", e);
}

enum status cmd_pause(struct context *t, struct error *e)
{
    return simple(t, "pause", "paused", e);
}

enum status cmd_unpause(struct context *t, struct error *e)
{
    return simple(t, "unpause", "runs again", e);
}

const struct option_spec resume_options[] = {
    {"prefetch", NULL, "read all of its pages at once, before it asks for them"},
    {NULL, NULL, NULL},
};

enum status cmd_suspend(struct context *t, struct error *e)
{
    return simple(t, "suspend", "is suspended; its memory goes to swap", e);
}

enum status cmd_resume(struct context *t, struct error *e)
{
    struct cborx_writer *w;
    struct client *c;
    enum status s = begin(t, "resume", &c, &w, e);
    if (s != STATUS_OK) return s;
    if (option_given(t->options, "prefetch")) cborx_put_uint(w, "pages", UINT32_MAX);
    return finish(t, c, "is resumed", e);
}

/* `autos`: the word "auto" is a size, too. */
static enum status set_pages(struct context *t, const char *verb, const char *what, bool autos,
                             struct error *e)
{
    const char *text = context_arg(t, 1);
    bool is_auto = autos && strcmp(text, "auto") == 0;
    char done[80], size[16];
    struct cborx_writer *w;
    struct client *c;
    uint64_t pages = 0;
    enum status s = is_auto ? STATUS_OK : size_parse(text, verb, &pages, e);

    if (s == STATUS_OK) s = begin(t, verb, &c, &w, e);
    if (s != STATUS_OK) return s;
    if (is_auto)
        cborx_put_text(w, "pages", "auto");
    else
        cborx_put_uint(w, "pages", pages);
    snprintf(done, sizeof done, "%s %s", what,
             is_auto ? "left to the policy" : size_text(pages, size, sizeof size));
    return finish(t, c, done, e);
}

enum status cmd_mem_set(struct context *t, struct error *e)
{
    return set_pages(t, "mem-set", "target:", true, e);
}

enum status cmd_mem_max(struct context *t, struct error *e)
{
    return set_pages(t, "mem-max", "max:", false, e);
}

/* A minimum of nothing is a good minimum. */
enum status cmd_mem_min(struct context *t, struct error *e)
{
    struct cborx_writer *w;
    struct client *c;
    enum status s;

    if (strcmp(context_arg(t, 1), "0") != 0) return set_pages(t, "mem-min", "min:", false, e);
    s = begin(t, "mem-min", &c, &w, e);
    if (s != STATUS_OK) return s;
    cborx_put_uint(w, "pages", 0);
    return finish(t, c, "min: none", e);
}

/* The second argument, a number from `least` to `most`, is the request's `field`. */
static enum status set_number(struct context *t, const char *verb, const char *field, uint64_t least,
                              uint64_t most, const char *what, struct error *e)
{
    char done[48];
    struct cborx_writer *w;
    struct client *c;
    uint64_t value;
    enum status s = number_parse(context_arg(t, 1), verb, least, most, &value, e);

    if (s == STATUS_OK) s = begin(t, verb, &c, &w, e);
    if (s != STATUS_OK) return s;
    cborx_put_uint(w, field, value);
    snprintf(done, sizeof done, "%s: %" PRIu64, what, value);
    return finish(t, c, done, e);
}

enum status cmd_shares(struct context *t, struct error *e)
{
    return set_number(t, "shares", "shares", 1, SHARES_MAX, "shares", e);
}

enum status cmd_cpu_shares(struct context *t, struct error *e)
{
    return set_number(t, "cpu-shares", "shares", 1, SHARES_MAX, "CPU shares", e);
}

enum status cmd_share_group(struct context *t, struct error *e)
{
    return set_number(t, "share-group", "group", 0, TITHE_SHARE_GROUPS_MAX, "share group", e);
}
