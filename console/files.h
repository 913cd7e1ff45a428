/* SPDX-License-Identifier: MIT
 *
 * Where programs and built files are.
 */
#ifndef CONSOLE_FILES_H
#define CONSOLE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

#define FILES_PATH_MAX 512u

/* Whether a program of this name is on the PATH. */
bool program_exists(const char *name);

/* Path of a file of the source tree ("images/emulators/…") or of its build directory ("build/…"), found from
 * where this program itself lies (build/console/tithe), or below TITHE_TOP where that is set. buf has
 * FILES_PATH_MAX bytes. Returns buf. */
char *tree_path(const char *file, char *buf);

/* Reads a whole file of at most `max` bytes into memory that the caller frees; a NUL is put behind it. */
enum status file_read(const char *path, size_t max, uint8_t **bytes, size_t *length, struct error *e);

#endif
