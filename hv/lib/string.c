/* SPDX-License-Identifier: MIT
 *
 * By the string instructions: short, and fast on every CPU of the last decade. Words first, then the odd
 * bytes: an emulator that counts every iteration counts an eighth of them. GCC must not turn these loops into
 * calls of the functions they are in: hv.mk has -ffreestanding, and there are no byte loops to recognise but
 * those below.
 */
#include "lib/string.h"
#include "tithe/types.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes)
{
    void *d = to;
    const void *s = from;
    size_t words = bytes / 8, rest = bytes % 8;

    __asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(rest) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
    if ((uintptr_t)to - (uintptr_t)from >= bytes) return memcpy(to, from, bytes);
    uint8_t *d = (uint8_t *)to + bytes - 1;
    const uint8_t *s = (const uint8_t *)from + bytes - 1;
    __asm__ volatile("std; rep movsb; cld" : "+D"(d), "+S"(s), "+c"(bytes) : : "memory");
    return to;
}

void *memset(void *to, int value, size_t bytes)
{
    void *d = to;
    size_t words = bytes / 8, rest = bytes % 8;
    const uint64_t pattern = (uint8_t)value * 0x0101010101010101ull;

    __asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(pattern) : "memory");
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(rest) : "a"(pattern) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
    const uint8_t *x = a, *y = b;
    size_t i = 0;

    /* By words up to the first that differs. */
    for (; i + 8 <= bytes; i += 8) {
        uint64_t p, q;
        __builtin_memcpy(&p, x + i, 8);
        __builtin_memcpy(&q, y + i, 8);
        if (p != q) break;
    }
    for (; i < bytes; i++)
        if (x[i] != y[i]) return x[i] - y[i];
    return 0;
}

size_t strnlen(const char *s, size_t limit)
{
    size_t n = 0;

    while (n < limit && s[n] != '\0') {
        n++;
        __asm__ volatile("" : : : "memory");
    }
    return n;
}

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t limit)
{
    for (size_t i = 0; i < limit; i++) {
        if (a[i] != b[i]) return (uint8_t)a[i] - (uint8_t)b[i];
        if (a[i] == '\0') break;
    }
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c) return (char *)(uintptr_t)s;
        if (*s == '\0') return NULL;
    }
}

size_t text_copy(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);

    if (size > 0) {
        size_t n = length < size - 1 ? length : size - 1;
        memcpy(to, from, n);
        to[n] = '\0';
    }
    return length;
}
