/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

enum status error_set(struct error *e, enum status status, const char *code, const char *thing,
                      const char *mend, const char *format, ...)
{
    char reason[sizeof e->reason], about[sizeof e->thing], advice[sizeof e->mend];
    va_list ap;

    /* Into copies first: an argument may be a text of the very error that is being replaced. */
    va_start(ap, format);
    vsnprintf(reason, sizeof reason, format, ap);
    va_end(ap);
    snprintf(about, sizeof about, "%s", thing);
    snprintf(advice, sizeof advice, "%s", mend);
    e->status = status;
    snprintf(e->code, sizeof e->code, "%s", code);
    memcpy(e->reason, reason, sizeof reason);
    memcpy(e->thing, about, sizeof about);
    memcpy(e->mend, advice, sizeof advice);
    return status;
}

/* Ends with one full stop, whoever wrote it. */
static void finish_sentence(FILE *out, const char *text)
{
    size_t n = strlen(text);

    fprintf(out, "%s%s", text, n > 0 && strchr(".!?", text[n - 1]) == NULL ? "." : "");
}

void error_print(FILE *out, const struct error *e)
{
    fputs("tithe: ", out);
    if (e->thing[0] != '\0') fprintf(out, "%s: ", e->thing);
    finish_sentence(out, e->reason);
    if (e->mend[0] != '\0') {
        fprintf(out, " %c", toupper((unsigned char)e->mend[0]));
        finish_sentence(out, e->mend + 1);
    }
    fputc('\n', out);
}
