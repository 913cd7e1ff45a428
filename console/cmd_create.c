/* SPDX-License-Identifier: MIT
 *
 * `tithe create`.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "abi_limits.h"
#include "cmd_vm.h"
#include "fields.h"
#include "files.h"
#include "image.h"
#include "linuxguest.h"
#include "size.h"

const struct option_spec create_options[] = {
    {"size", "SIZE", "memory the guest is booted with (needed)"},
    {"min", "SIZE", "guaranteed memory (default: none)"},
    {"max", "SIZE", "ceiling for its memory (default: its size)"},
    {"shares", "N", "its weight against the others for memory, 1 to 1000000 (default: 1000)"},
    {"kernel", "IMAGE|FILE", "image of the machine, or a file, which is uploaded first (default: vmlinuz)"},
    {"module", "IMAGE|FILE", "initrd or Multiboot module (default with the default kernel: initrd)"},
    {"cmdline", "TEXT",
     "kernel command line (default with the default kernel: what Debian's kernel needs here)"},
    {"append", "TEXT", "more for the end of the command line, e.g. 'tithe.run=touch:64M,verify'"},
    {"disk", "PARTITION", "its disk: the partition of this name, see 'tithe disks' (default: none)"},
    {"mite", "SCRIPT", "the tiny workload guest with this script, e.g. 'touch:8M,verify'"},
    {"vcpus", "N", "virtual CPUs, 1 to 8, also more than the machine has CPUs (default: 1)"},
    {"cpu-shares", "N",
     "its weight on the CPUs, all its virtual CPUs together, 1 to 1000000 (default: 1000)"},
    {"paused", NULL, "do not start it yet"},
    {NULL, NULL, NULL},
};

struct creation {
    const char *name;
    uint64_t size_pages, min_pages, max_pages, shares, cpu_shares, vcpus;
    const char *disk;            /* NULL: none */
    const char *kernel, *module; /* as the user said, or a default; NULL: none */
    char cmdline[1024];
};

static enum status optional_size(const struct options *o, const char *name, uint64_t *pages, struct error *e)
{
    const char *text = option_value(o, name);

    /* "0" needs no unit, and a minimum of nothing is a good minimum. */
    if (text == NULL || (strcmp(name, "min") == 0 && strcmp(text, "0") == 0)) return STATUS_OK;
    return size_parse(text, name, pages, e);
}

static enum status optional_number(const struct options *o, const char *name, uint64_t max, uint64_t *value,
                                   struct error *e)
{
    const char *text = option_value(o, name);

    return text == NULL ? STATUS_OK : number_parse(text, name, 1, max, value, e);
}

static enum status choose_guest(const struct options *o, struct creation *n, struct error *e)
{
    const char *mite = option_value(o, "mite"), *cmdline = option_value(o, "cmdline");
    const char *append = option_value(o, "append");
    char linux_default[CMDLINE_MAX_BYTES + 1];
    size_t length;

    n->kernel = option_value(o, "kernel");
    n->module = option_value(o, "module");
    if (mite != NULL && (n->kernel != NULL || cmdline != NULL))
        return error_set(e, STATUS_USAGE, "usage", "--mite", "leave out --kernel and --cmdline",
                         "brings its own kernel");
    if (mite != NULL) {
        n->kernel = MITE_IMAGE;
        snprintf(n->cmdline, sizeof n->cmdline, "%s%s", strncmp(mite, "run=", 4) == 0 ? "" : "run=", mite);
    } else if (n->kernel == NULL) {
        n->kernel = LINUX_IMAGE;
        if (n->module == NULL) n->module = INITRD_IMAGE;
        if (cmdline == NULL) {
            enum status s = linux_cmdline(linux_default, sizeof linux_default, e);

            if (s != STATUS_OK) return s;
            cmdline = linux_default;
        }
    }
    if (cmdline != NULL) snprintf(n->cmdline, sizeof n->cmdline, "%s", cmdline);
    length = strlen(n->cmdline);
    if (append != NULL)
        snprintf(n->cmdline + length, sizeof n->cmdline - length, "%s%s", length > 0 ? " " : "", append);
    if (strlen(n->cmdline) <= CMDLINE_MAX_BYTES) return STATUS_OK;
    return error_set(e, STATUS_USAGE, "too-long", "command line", "shorten it", "has more than %u bytes",
                     CMDLINE_MAX_BYTES);
}

static enum status check_order(const struct creation *n, struct error *e)
{
    if (n->max_pages > n->size_pages)
        return error_set(e, STATUS_USAGE, "bad-size", "max",
                         "a guest cannot have more than it was booted with", "is larger than the size");
    if (n->min_pages > n->max_pages)
        return error_set(e, STATUS_USAGE, "bad-size", "min", "lower it", "is larger than the max");
    return STATUS_OK;
}

static enum status parse(const struct context *t, struct creation *n, struct error *e)
{
    const struct options *o = t->options;
    enum status s;

    *n = (struct creation){.name = context_arg(t, 0), .vcpus = 1};
    if (option_value(o, "size") == NULL)
        return error_set(e, STATUS_USAGE, "usage", "--size", "say, for example, --size 128M", "is missing");
    s = optional_size(o, "size", &n->size_pages, e);
    n->max_pages = n->size_pages;
    if (s == STATUS_OK) s = optional_size(o, "min", &n->min_pages, e);
    if (s == STATUS_OK) s = optional_size(o, "max", &n->max_pages, e);
    if (s == STATUS_OK) s = optional_number(o, "shares", SHARES_MAX, &n->shares, e);
    if (s == STATUS_OK) s = optional_number(o, "cpu-shares", SHARES_MAX, &n->cpu_shares, e);
    if (s == STATUS_OK) s = optional_number(o, "vcpus", VCPUS_MAX, &n->vcpus, e);
    n->disk = option_value(o, "disk");
    if (s == STATUS_OK) s = check_order(n, e);
    return s == STATUS_OK ? choose_guest(o, n, e) : s;
}

enum status cmd_create(struct context *t, struct error *e)
{
    char kernel[IMAGE_NAME_MAX], module[IMAGE_NAME_MAX] = "";
    struct cborx_writer *w;
    struct answer a = {0};
    struct creation n;
    struct client *c;
    enum status s = parse(t, &n, e);

    if (s == STATUS_OK) s = context_client(t, &c, e);
    if (s == STATUS_OK) s = image_resolve(c, n.kernel, kernel, true, e);
    if (s == STATUS_OK && n.module != NULL) s = image_resolve(c, n.module, module, true, e);
    if (s != STATUS_OK) return s;
    w = client_begin(c, "create");
    cborx_put_text(w, "name", n.name);
    cborx_put_text(w, "kernel", kernel);
    if (module[0] != '\0') cborx_put_text(w, "module", module);
    if (n.cmdline[0] != '\0') cborx_put_text(w, "cmdline", n.cmdline);
    if (n.disk != NULL) cborx_put_text(w, "disk", n.disk);
    cborx_put_uint(w, "size_pages", n.size_pages);
    cborx_put_uint(w, "min_pages", n.min_pages);
    cborx_put_uint(w, "max_pages", n.max_pages);
    if (n.shares > 0) cborx_put_uint(w, "shares", n.shares);
    if (n.cpu_shares > 0) cborx_put_uint(w, "cpu_shares", n.cpu_shares);
    cborx_put_uint(w, "vcpus", n.vcpus);
    if (option_given(t->options, "paused")) cborx_put_bool(w, "paused", true);
    s = ask(t, c, &a, e);
    if (s == STATUS_OK && !t->json)
        printf("%s (id %" PRIu64 ") created%s\n", field_text(a.ok, "name"), field_uint(a.ok, "id"),
               option_given(t->options, "paused") ? ", paused" : "");
    answer_free(&a);
    return s;
}
