/* SPDX-License-Identifier: MIT */
#ifndef STEWARD_TEXT_H
#define STEWARD_TEXT_H

#include <stddef.h>
#include <string.h>

/* Copies as much of a text as fits, always with a NUL at the end. */
static inline void text_copy(char *to, size_t to_bytes, const char *from)
{
    size_t length = strnlen(from, to_bytes - 1);
    memmove(to, from, length);
    to[length] = 0;
}

#endif
