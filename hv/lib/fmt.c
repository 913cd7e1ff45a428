/* SPDX-License-Identifier: MIT
 *
 * The printf subset of lib/log.h.
 */
#include "lib/log.h"
#include "lib/string.h"
#include "tithe/types.h"

struct sink {
    char *out;
    size_t size;
    size_t length; /* of the whole text, whether it fits or not */
};

static void put(struct sink *s, char c)
{
    if (s->length + 1 < s->size) s->out[s->length] = c;
    s->length++;
}

static void put_padding(struct sink *s, size_t have, size_t width, char pad)
{
    for (; have < width; have++) put(s, pad);
}

static void put_text(struct sink *s, const char *text, size_t length, size_t width, bool left)
{
    if (!left) put_padding(s, length, width, ' ');
    for (size_t i = 0; i < length; i++) put(s, text[i]);
    if (left) put_padding(s, length, width, ' ');
}

struct number {
    uint64_t value;
    unsigned base;
    bool negative, upper, left, zero;
    size_t width;
    const char *prefix;
};

static void put_number(struct sink *s, struct number n)
{
    char digits[20];
    size_t count = 0;
    size_t prefix = strlen(n.prefix) + n.negative;

    do {
        digits[count++] = (n.upper ? "0123456789ABCDEF" : "0123456789abcdef")[n.value % n.base];
        n.value /= n.base;
    } while (n.value != 0);

    if (!n.left && !n.zero) put_padding(s, prefix + count, n.width, ' ');
    if (n.negative) put(s, '-');
    for (const char *p = n.prefix; *p != '\0'; p++) put(s, *p);
    if (!n.left && n.zero) put_padding(s, prefix + count, n.width, '0');
    for (size_t i = count; i > 0; i--) put(s, digits[i - 1]);
    if (n.left) put_padding(s, prefix + count, n.width, ' ');
}

/* A field width or precision: digits or '*'. */
static size_t take_size(const char **p, va_list *args)
{
    size_t n = 0;

    if (**p == '*') {
        int given = va_arg(*args, int);
        ++*p;
        return given < 0 ? 0 : (size_t)given;
    }
    for (; **p >= '0' && **p <= '9'; ++*p) n = n * 10 + (size_t)(**p - '0');
    return n;
}

static void convert(struct sink *s, const char **p, va_list *args)
{
    struct number n = {.base = 10, .prefix = ""};
    size_t precision = SIZE_MAX;
    unsigned longs = 0;

    for (;; ++*p) {
        if (**p == '-')
            n.left = true;
        else if (**p == '0')
            n.zero = true;
        else
            break;
    }
    n.width = take_size(p, args);
    if (**p == '.') {
        ++*p;
        precision = take_size(p, args);
    }
    for (; **p == 'l' || **p == 'z'; ++*p) longs++;

    char c = **p;
    if (c != '\0') ++*p;
    switch (c) {
    case 'c': {
        char one = (char)va_arg(*args, int);
        put_text(s, &one, 1, n.width, n.left);
        break;
    }
    case 's': {
        const char *text = va_arg(*args, const char *);
        if (text == NULL) text = "(null)";
        put_text(s, text, strnlen(text, precision), n.width, n.left);
        break;
    }
    case 'd':
    case 'i': {
        int64_t value = longs ? va_arg(*args, int64_t) : va_arg(*args, int);
        n.negative = value < 0;
        n.value = n.negative ? 0 - (uint64_t)value : (uint64_t)value;
        put_number(s, n);
        break;
    }
    case 'p':
        n.prefix = "0x";
        n.base = 16;
        n.value = (uintptr_t)va_arg(*args, void *);
        put_number(s, n);
        break;
    case 'X': n.upper = true; __attribute__((fallthrough));
    case 'x': n.base = 16; __attribute__((fallthrough));
    case 'u':
        n.value = longs ? va_arg(*args, uint64_t) : va_arg(*args, unsigned);
        put_number(s, n);
        break;
    case '%': put(s, '%'); break;
    default: /* the compiler has checked the format: not reached from C with a literal */ put(s, '?'); break;
    }
}

int fmt_vstring(char *out, size_t size, const char *fmt, va_list args)
{
    struct sink s = {.out = out, .size = size};
    va_list copy;

    va_copy(copy, args);
    while (*fmt != '\0') {
        char c = *fmt++;
        if (c == '%')
            convert(&s, &fmt, &copy);
        else
            put(&s, c);
    }
    va_end(copy);
    if (size > 0) out[s.length < size ? s.length : size - 1] = '\0';
    return (int)s.length;
}

int fmt_string(char *out, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int length = fmt_vstring(out, size, fmt, args);
    va_end(args);
    return length;
}
