/* SPDX-License-Identifier: MIT
 *
 * Images that VMs are made of: files "images/NAME" of the module archive, and uploads.
 */
#ifndef TITHE_VM_IMAGE_H
#define TITHE_VM_IMAGE_H

#include "lib/cpio.h"
#include "tithe/abi.h"
#include "vm/load.h"

/* The archive that the boot loader handed over stays where it is. NULL, or what is wrong with it. */
const char *image_init(const void *archive, size_t bytes);
/* Any file of the archive, by its whole name. */
MUST_CHECK bool image_archive_find(const char *name, struct cpio_file *file);

/* A sealed image as a loader reads it. False: there is none of that name. */
MUST_CHECK bool image_source(const char *name, struct load_source *source);

/* The operations of enum tithe_op with these names: 0, or a TITHE_E number with a reason. */
int image_next(struct tithe_image *image);
int image_create(const struct tithe_image *image, char *reason);
int image_write(const struct tithe_io *io, char *reason);
int image_seal(const struct tithe_image *image, char *reason);
int image_delete(const struct tithe_image *image, char *reason);
int image_file_next(struct tithe_image *image);
int image_file_read(struct tithe_io *io, char *reason);

#endif
