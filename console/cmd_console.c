/* SPDX-License-Identifier: MIT
 *
 * `tithe console`: at a terminal, in a pipe, or waiting for a text.
 */
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"
#include "cmd_vm.h"
#include "json.h"
#include "size.h"
#include "vmconsole.h"

#define ESCAPE_KEY       0x1d /* Ctrl-] */
#define POLL_LEAST_S     0.02
#define POLL_MOST_S      0.25
#define EXPECT_DEFAULT_S 60u
#define ENDED_CHECK_S    1.0 /* how often a silent VM is asked whether it still lives */

const struct option_spec console_options[] = {
    {"dump", NULL, "print what the console holds, and leave"},
    {"follow", NULL, "print what it holds and what comes, until the VM stops"},
    {"expect", "REGEX",
     "wait until the output (after --send: the output since) matches this extended regular expression"},
    {"send", "TEXT", "type this first; \\n, \\r, \\t, \\e, \\\\ and \\xHH as in C"},
    {"timeout", "SECONDS", "give up waiting for --expect after this time of the host's (default: 60)"},
    {NULL, NULL, NULL},
};

/* Undoes \n and the like, in place of a copy that the caller frees. NULL when one is unknown. */
static char *unescape(const char *text, size_t *length)
{
    static const char names[] = "nrte\\", values[] = "\n\r\t\033\\";
    char *out = malloc(strlen(text) + 1), *to = out;

    for (; out != NULL && *text != '\0'; text++) {
        const char *known;
        unsigned byte;
        int used;

        if (*text != '\\') {
            *to++ = *text;
            continue;
        }
        text++;
        known = *text != '\0' ? strchr(names, *text) : NULL;
        if (known != NULL) {
            *to++ = values[known - names];
        } else if (*text == 'x' && sscanf(text + 1, "%2x%n", &byte, &used) == 1 && used == 2) {
            *to++ = (char)byte;
            text += 2;
        } else {
            free(out);
            return NULL;
        }
    }
    *length = (size_t)(to - out);
    return out;
}

static void show(const struct context *t, const char *text, size_t length)
{
    if (t->json) return;
    fwrite(text, 1, length, stdout);
    fflush(stdout);
}

/* Everything there is now. */
static enum status dump(struct context *t, struct vmconsole *v, struct error *e)
{
    char buf[VMCONSOLE_CHUNK_BYTES], *all = NULL;
    size_t length, all_bytes = 0;
    FILE *keep = t->json ? open_memstream(&all, &all_bytes) : NULL;
    enum status s;

    do {
        s = vmconsole_read(v, buf, &length, e);
        if (s == STATUS_OK && keep != NULL)
            fwrite(buf, 1, length, keep);
        else if (s == STATUS_OK)
            show(t, buf, length);
    } while (s == STATUS_OK && length > 0);
    if (keep == NULL) return s;
    fclose(keep);
    if (s == STATUS_OK) {
        struct json j = json_begin(stdout);

        json_uint(&j, "offset", v->offset - all_bytes);
        json_bytes(&j, "text", all, all_bytes);
        json_end(&j);
    }
    free(all);
    return s;
}

/* Output as it comes, until the VM has stopped. */
static enum status follow(struct context *t, struct vmconsole *v, struct error *e)
{
    char buf[VMCONSOLE_CHUNK_BYTES];
    bool ended = false, last = false;
    size_t length;

    for (;;) {
        enum status s = vmconsole_read(v, buf, &length, e);

        if (s != STATUS_OK) return s;
        show(t, buf, length);
        if (length > 0) continue;
        if (last) return STATUS_OK;
        s = vmconsole_ended(v, &ended, e);
        if (s != STATUS_OK) return s;
        last = ended; /* one more look: it may have written between the two questions */
        if (!ended) clock_sleep_s(POLL_MOST_S);
    }
}

/* Output since `v->offset`, until it matches. */
static enum status expect(struct context *t, struct vmconsole *v, const char *regex, double timeout_s,
                          struct error *e)
{
    double until_s = clock_now_s() + timeout_s, ask_s = clock_now_s() + ENDED_CHECK_S, pause_s = POLL_LEAST_S;
    char buf[VMCONSOLE_CHUNK_BYTES], *seen = NULL;
    size_t length, seen_bytes = 0;
    bool ended = false, last = false;
    enum status s = STATUS_OK;
    FILE *keep;
    regex_t r;

    if (regcomp(&r, regex, REG_EXTENDED | REG_NOSUB | REG_NEWLINE) != 0)
        return error_set(e, STATUS_USAGE, "bad-regex", regex, "write it as grep -E takes it",
                         "not an extended regular expression");
    keep = open_memstream(&seen, &seen_bytes);
    while (keep != NULL) {
        s = vmconsole_read(v, buf, &length, e);
        if (s != STATUS_OK) break;
        show(t, buf, length);
        for (size_t i = 0; i < length; i++)
            if (buf[i] != '\0' && buf[i] != '\r')
                fputc(buf[i], keep); /* so that $ matches at the end of its lines */
        fflush(keep);
        if (regexec(&r, seen, 0, NULL, 0) == 0) break;
        if (length > 0) continue;
        if (last) {
            s = error_set(e, STATUS_VERIFY, "ended", v->vm, "its console says why",
                          "stopped without '%s' on its console", regex);
            break;
        }
        if (clock_now_s() > until_s) {
            s = error_set(e, STATUS_CONNECT, "timeout", v->vm,
                          "see its console, or wait longer with --timeout",
                          "did not write '%s' within %.0f s", regex, timeout_s);
            break;
        }
        if (clock_now_s() > ask_s) {
            s = vmconsole_ended(v, &ended, e);
            if (s != STATUS_OK) break;
            last = ended;
            ask_s = clock_now_s() + ENDED_CHECK_S;
        }
        clock_sleep_s(pause_s);
        pause_s = pause_s * 2 > POLL_MOST_S ? POLL_MOST_S : pause_s * 2;
    }
    if (keep != NULL) fclose(keep);
    free(seen);
    regfree(&r);
    return s;
}

/* What was typed goes to the guest, up to the key that leaves. */
static enum status type_at(struct vmconsole *v, bool *leave, bool *input, struct error *e)
{
    char keys[512];
    ssize_t n = read(0, keys, sizeof keys);
    char *escape = n > 0 ? memchr(keys, ESCAPE_KEY, (size_t)n) : NULL;

    *input = n > 0;
    if (escape != NULL) {
        *leave = true;
        n = escape - keys;
    }
    return n > 0 ? vmconsole_write(v, keys, (size_t)n, e) : STATUS_OK;
}

static enum status attached(struct context *t, struct vmconsole *v, struct error *e)
{
    char buf[VMCONSOLE_CHUNK_BYTES];
    double pause_s = POLL_LEAST_S;
    bool leave = false, input = true;
    enum status s = STATUS_OK;
    size_t length;

    while (s == STATUS_OK && !leave) {
        struct pollfd p = {.fd = input ? 0 : -1, .events = POLLIN};

        s = vmconsole_read(v, buf, &length, e);
        if (s != STATUS_OK) break;
        show(t, buf, length);
        pause_s = length > 0 ? POLL_LEAST_S : pause_s * 1.5 > POLL_MOST_S ? POLL_MOST_S : pause_s * 1.5;
        if (poll(&p, 1, length > 0 ? 0 : (int)(pause_s * 1000)) > 0) {
            s = type_at(v, &leave, &input, e);
            pause_s = POLL_LEAST_S;
        }
        if (!input) return follow(t, v, e); /* the end of a pipe: there is only output left */
    }
    return s;
}

static enum status interactive(struct context *t, struct vmconsole *v, struct error *e)
{
    struct termios before, raw;
    bool terminal = isatty(0) && tcgetattr(0, &before) == 0;
    enum status s;

    if (!terminal) return attached(t, v, e);
    fprintf(stderr, "tithe: console of %s. Ctrl-] leaves.\n", v->vm);
    raw = before;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST | ONLCR;
    tcsetattr(0, TCSANOW, &raw);
    s = attached(t, v, e);
    tcsetattr(0, TCSANOW, &before);
    fputs("\ntithe: console left.\n", stderr);
    return s;
}

enum status cmd_console(struct context *t, struct error *e)
{
    const char *regex = option_value(t->options, "expect"), *send = option_value(t->options, "send");
    const char *timeout = option_value(t->options, "timeout");
    struct vmconsole v = {.vm = context_arg(t, 0)};
    uint64_t timeout_s = EXPECT_DEFAULT_S;
    enum status s = STATUS_OK;

    if (timeout != NULL) s = number_parse(timeout, "timeout", 1, 86400, &timeout_s, e);
    if (s == STATUS_OK) s = context_client(t, &v.client, e);
    if (s == STATUS_OK && send != NULL) {
        size_t length;
        char *keys = unescape(send, &length);

        if (keys == NULL)
            return error_set(e, STATUS_USAGE, "bad-escape", send, "use \\n, \\r, \\t, \\e, \\\\ or \\xHH",
                             "has a backslash sequence that is not known");
        s = vmconsole_end(&v, &v.offset, e);
        if (s == STATUS_OK) s = vmconsole_write(&v, keys, length, e);
        free(keys);
    }
    if (s != STATUS_OK) return s;
    if (regex != NULL) return expect(t, &v, regex, (double)timeout_s, e);
    if (option_given(t->options, "dump")) return dump(t, &v, e);
    if (option_given(t->options, "follow")) return follow(t, &v, e);
    return send != NULL ? STATUS_OK : interactive(t, &v, e);
}
