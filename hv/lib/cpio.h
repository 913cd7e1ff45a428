/* SPDX-License-Identifier: MIT
 *
 * Reader of cpio archives, "newc" format (cpio(5)), in memory. Trusts no field of them.
 */
#ifndef TITHE_LIB_CPIO_H
#define TITHE_LIB_CPIO_H

#include "tithe/types.h"

struct cpio_file {
    const char *name; /* NUL-terminated, in the archive; a leading "./" is left out */
    const void *data;
    size_t bytes;
    uint32_t mode; /* as stat's st_mode: 0100000 is a regular file */
};

/* Starts with *position = 0. False at the end, or at the first thing that is not cpio. */
MUST_CHECK bool cpio_next(const void *archive, size_t bytes, size_t *position, struct cpio_file *out);
/* The first regular file of that name. */
MUST_CHECK bool cpio_find(const void *archive, size_t bytes, const char *name, struct cpio_file *out);

#endif
