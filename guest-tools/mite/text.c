// SPDX-License-Identifier: MIT
#include "text.h"

#include "pages.h"

struct span span_of(const char *text)
{
    struct span span = {text, 0};
    while (text[span.length] != '\0') span.length++;
    return span;
}

// The length of `text` if `span` starts with it, or UINT32_MAX.
static uint32_t match(struct span span, const char *text)
{
    uint32_t i = 0;
    for (; text[i] != '\0'; i++)
        if (i == span.length || span.at[i] != text[i]) return UINT32_MAX;
    return i;
}

bool span_starts(struct span span, const char *text)
{
    return match(span, text) != UINT32_MAX;
}

bool span_is(struct span span, const char *text)
{
    return match(span, text) == span.length;
}

struct span span_skip(struct span span, uint32_t count)
{
    return (struct span){span.at + count, span.length - count};
}

uint32_t span_find(struct span span, char wanted)
{
    uint32_t at = 0;
    while (at < span.length && span.at[at] != wanted) at++;
    return at;
}

static bool digit_value(char c, uint32_t base, uint32_t *value)
{
    if (c >= '0' && c <= '9')
        *value = (uint32_t)(c - '0');
    else if (base == 16 && c >= 'a' && c <= 'f')
        *value = (uint32_t)(c - 'a') + 10;
    else if (base == 16 && c >= 'A' && c <= 'F')
        *value = (uint32_t)(c - 'A') + 10;
    else
        return false;
    return true;
}

// Takes a number off the front and leaves the rest in `span`.
static bool take_number(struct span *span, uint64_t *value)
{
    uint32_t base = 10;
    if (span_starts(*span, "0x") || span_starts(*span, "0X")) {
        base = 16;
        *span = span_skip(*span, 2);
    }
    uint32_t taken = 0;
    uint32_t digit;
    *value = 0;
    for (; taken < span->length && digit_value(span->at[taken], base, &digit); taken++) {
        // 2^59 leaves room for a hexadecimal digit; nothing here needs more.
        if (*value >> 59) return false;
        *value = *value * base + digit;
    }
    *span = span_skip(*span, taken);
    return taken > 0;
}

bool parse_number(struct span span, uint64_t *value)
{
    return take_number(&span, value) && span.length == 0;
}

bool parse_pages(struct span span, uint32_t *page_count)
{
    static const struct {
        const char *suffix;
        uint32_t shift;
    } units[] = {{"", 0}, {"K", 10}, {"M", 20}, {"G", 30}, {"p", 12}};
    uint64_t value;
    if (!take_number(&span, &value) || value > UINT32_MAX) return false;
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!span_is(span, units[i].suffix)) continue;
        uint64_t size_bytes = value << units[i].shift;
        if (size_bytes > 1ULL << 32) return false;
        *page_count = (uint32_t)((size_bytes + PAGE_BYTES - 1) / PAGE_BYTES);
        return true;
    }
    return false;
}

bool parse_rate(struct span span, uint32_t *pages_per_second)
{
    if (span.length < 2 || !span_is(span_skip(span, span.length - 2), "/s")) return false;
    span.length -= 2;
    return parse_pages(span, pages_per_second) && *pages_per_second > 0;
}

bool parse_us(struct span span, uint64_t *us)
{
    static const struct {
        const char *suffix;
        uint32_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}};
    uint64_t value;
    if (!take_number(&span, &value) || value > UINT32_MAX) return false;
    for (uint32_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (span_is(span, units[i].suffix)) {
            *us = value * units[i].us;
            return true;
        }
    }
    return false;
}

bool parse_millionths(struct span span, uint32_t *millionths)
{
    uint64_t whole;
    if (!take_number(&span, &whole) || whole > 1) return false;
    uint32_t result = (uint32_t)whole * 1000000;
    if (span.length > 0) {
        if (span.at[0] != '.' || span.length < 2 || span.length > 7) return false;
        uint32_t weight = 100000;
        for (uint32_t i = 1; i < span.length; i++, weight /= 10) {
            uint32_t digit;
            if (!digit_value(span.at[i], 10, &digit)) return false;
            result += digit * weight;
        }
    }
    *millionths = result;
    return result <= 1000000;
}
