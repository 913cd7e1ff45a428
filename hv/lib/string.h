/* SPDX-License-Identifier: MIT
 *
 * The part of string.h that the core uses (and that gcc calls by itself), and safe copying of text.
 */
#ifndef TITHE_LIB_STRING_H
#define TITHE_LIB_STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t limit);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t limit);
char *strchr(const char *s, int c);

/* Copies text, cut to fit `size` bytes with its NUL. Returns the length of `from`. */
size_t text_copy(char *to, size_t size, const char *from);

#endif
