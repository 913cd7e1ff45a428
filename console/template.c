/* SPDX-License-Identifier: MIT */
#include "template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the name in "@NAME@" at p, or 0 when this @ is just an @. */
static size_t name_length(const char *p)
{
    size_t n = strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

    return n > 0 && p[1 + n] == '@' ? n : 0;
}

static const char *look_up(const struct template_value *values, const char *name, size_t n)
{
    for (; values->name != NULL; values++)
        if (strlen(values->name) == n && strncmp(values->name, name, n) == 0) return values->value;
    return NULL;
}

char *template_fill(const char *text, const struct template_value *values, const char *thing, struct error *e)
{
    char *filled = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&filled, &bytes);

    if (out == NULL) {
        error_set(e, STATUS_EMULATOR, "no-memory", thing, "", "no memory");
        return NULL;
    }
    while (*text != '\0') {
        size_t plain = strcspn(text, "@"), n;
        const char *value;

        fwrite(text, 1, plain, out);
        text += plain;
        if (*text == '\0') break;
        n = name_length(text);
        value = n > 0 ? look_up(values, text + 1, n) : NULL;
        if (n == 0) {
            fputc(*text++, out);
            continue;
        }
        if (value == NULL) {
            error_set(e, STATUS_EMULATOR, "bad-template", thing, "mend the file or update tithe",
                      "has the placeholder @%.*s@, which tithe does not know", (int)n, text + 1);
            fclose(out);
            free(filled);
            return NULL;
        }
        fputs(value, out);
        text += n + 2;
    }
    fclose(out);
    return filled;
}
