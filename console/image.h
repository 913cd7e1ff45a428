/* SPDX-License-Identifier: MIT
 *
 * Guest images: those the machine has, and uploads.
 */
#ifndef CONSOLE_IMAGE_H
#define CONSOLE_IMAGE_H

#include <stdbool.h>

#include "client.h"

#define IMAGE_NAME_MAX  32u
#define IMAGE_MAX_BYTES (256u << 20)

/* Sends a file as an image of this name, in chunks, with progress on stderr when `progress`. An upload that
 * fails is taken back as far as the machine can be reached. */
enum status image_upload(struct client *c, const char *path, const char *name, bool progress,
                         struct error *e);

/* What `create` means by an image: the name of one the machine has, or a file, which is uploaded unless the
 * machine has one of the same name and content. A text with a slash in it, or that names a file, is a file.
 * `name` has IMAGE_NAME_MAX bytes. */
enum status image_resolve(struct client *c, const char *text, char *name, bool progress, struct error *e);

/* Last part of a path, as far as it can be in an image's name. */
void image_name_of(const char *path, char *name);

#endif
