/* SPDX-License-Identifier: MIT
 *
 * Images that came over the management line, in frames of the core.
 */
#ifndef TITHE_VM_UPLOAD_H
#define TITHE_VM_UPLOAD_H

#include "tithe/abi.h"
#include "vm/load.h"

#define UPLOADS_MAX 8u

/* 0, or a TITHE_E number with a reason. An upload is filled at any offsets, then sealed; only then it can be
 * loaded. */
int upload_create(const char *name, uint64_t bytes, char *reason);
int upload_write(const struct tithe_io *io, char *reason);
int upload_seal(const char *name, char *reason);
int upload_delete(const char *name, char *reason);
/* A sealed upload of that name. */
MUST_CHECK bool upload_source(const char *name, struct load_source *source);
/* The index-th upload; false past the last. */
MUST_CHECK bool upload_describe(uint32_t index, struct tithe_image *image);

#endif
