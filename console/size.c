/* SPDX-License-Identifier: MIT */
#include "size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PAGE_BYTES          4096u
#define MOST_BYTES          (1ull << 50) /* a petabyte: far above any machine, far below overflow */
#define FRACTION_DIGITS_MAX 6            /* 10^6 * 2^40 still fits */

static uint64_t unit_bytes(const char *unit)
{
    static const struct {
        const char *name;
        uint64_t bytes;
    } units[] = {
        {"p", PAGE_BYTES}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40},
    };
    size_t i;

    for (i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strncasecmp(unit, units[i].name, 1) != 0 || *unit == '\0') continue;
        if (unit[1] == '\0') return units[i].bytes;
        if (i > 0 && (strcasecmp(unit + 1, "iB") == 0 || strcasecmp(unit + 1, "B") == 0))
            return units[i].bytes;
    }
    return 0;
}

static enum status refuse(struct error *e, const char *what, const char *text, const char *why)
{
    char thing[sizeof e->thing];

    snprintf(thing, sizeof thing, "%s '%.80s'", what, text);
    return error_set(e, STATUS_USAGE, "bad-size", thing, SIZE_FORMS, "%s", why);
}

enum status size_parse(const char *text, const char *what, uint64_t *pages, struct error *e)
{
    const char *p = text;
    uint64_t whole = 0, fraction = 0, scale = 1, unit, bytes;
    int digits = 0;

    if (*p == '-') return refuse(e, what, text, "a size cannot be negative");
    for (; *p >= '0' && *p <= '9'; p++, digits++) {
        whole = whole * 10 + (uint64_t)(*p - '0');
        if (whole > MOST_BYTES) return refuse(e, what, text, "larger than any machine");
    }
    if (*p == '.') {
        int places = 0;

        for (p++; *p >= '0' && *p <= '9'; p++, digits++, places++) {
            if (places == FRACTION_DIGITS_MAX) return refuse(e, what, text, "too many decimals");
            fraction = fraction * 10 + (uint64_t)(*p - '0');
            scale *= 10;
        }
    }
    if (digits == 0) return refuse(e, what, text, "not a size");
    if (*p == '\0') return refuse(e, what, text, "a size needs a unit");
    unit = unit_bytes(p);
    if (unit == 0) return refuse(e, what, text, "not a unit of memory");
    if (whole > MOST_BYTES / unit) return refuse(e, what, text, "larger than any machine");
    if (fraction * unit % scale != 0) return refuse(e, what, text, "not a whole number of pages");
    bytes = whole * unit + fraction * unit / scale;
    if (bytes == 0) return refuse(e, what, text, "a size must be more than nothing");
    if (bytes % PAGE_BYTES != 0) return refuse(e, what, text, "not a whole number of pages");
    *pages = bytes / PAGE_BYTES;
    return STATUS_OK;
}

enum status number_parse(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *value,
                         struct error *e)
{
    uint64_t v = 0;
    const char *p;
    char thing[sizeof e->thing], mend[120];

    snprintf(thing, sizeof thing, "%s '%.80s'", what, text);
    snprintf(mend, sizeof mend, "give a whole number from %" PRIu64 " to %" PRIu64, min, max);
    if (*text == '\0') return error_set(e, STATUS_USAGE, "bad-number", thing, mend, "not a number");
    for (p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9')
            return error_set(e, STATUS_USAGE, "bad-number", thing, mend,
                             p == text && *p == '-' ? "negative" : "not a whole number");
        if (v > (UINT64_MAX - 9) / 10)
            return error_set(e, STATUS_USAGE, "bad-number", thing, mend, "too large");
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (v < min || v > max)
        return error_set(e, STATUS_USAGE, "bad-number", thing, mend, "%s",
                         v < min ? "too small" : "too large");
    *value = v;
    return STATUS_OK;
}

char *size_text(uint64_t pages, char *buf, size_t n)
{
    static const char units[] = "KMGTP";
    uint64_t tenths_of_unit, scale = 1; /* in KiB */
    size_t u = 0;
    uint64_t kib = pages > UINT64_MAX / 4 / 10 ? UINT64_MAX / 10 : pages * 4;

    while (kib / scale >= 1024 && u + 2 < sizeof units) {
        scale *= 1024;
        u++;
    }
    tenths_of_unit = (kib * 10 + scale / 2) / scale;
    if (tenths_of_unit % 10 == 0 || tenths_of_unit >= 10000)
        snprintf(buf, n, "%" PRIu64 "%c", (tenths_of_unit + (tenths_of_unit % 10 ? 5 : 0)) / 10, units[u]);
    else
        snprintf(buf, n, "%" PRIu64 ".%" PRIu64 "%c", tenths_of_unit / 10, tenths_of_unit % 10, units[u]);
    return buf;
}
