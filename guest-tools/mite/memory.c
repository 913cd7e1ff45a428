// SPDX-License-Identifier: MIT
// The functions that a compiler may call even in a freestanding program (C11 4p6, GCC manual 2.1).
#include "memory.h"

void *memcpy(void *restrict to, const void *restrict from, size_t size_bytes)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size_bytes)::"memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size_bytes)
{
    if ((uintptr_t)to - (uintptr_t)from >= size_bytes) return memcpy(to, from, size_bytes);
    uint8_t *t = to;
    const uint8_t *f = from;
    while (size_bytes-- > 0) t[size_bytes] = f[size_bytes];
    return to;
}

void *memset(void *to, int byte, size_t size_bytes)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size_bytes) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size_bytes)
{
    const uint8_t *x = a;
    const uint8_t *y = b;
    for (; size_bytes > 0; size_bytes--, x++, y++)
        if (*x != *y) return *x < *y ? -1 : 1;
    return 0;
}
