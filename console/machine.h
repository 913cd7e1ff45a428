/* SPDX-License-Identifier: MIT
 *
 * The state directory of a machine that `tithe run` started: ${XDG_RUNTIME_DIR:-/tmp}/tithe-UID/NAME/ with
 *   lock     held (flock) by the broker as long as the machine is up: what decides whether it is
 *   pid      of the broker
 *   socket   where consoles connect
 *   log      everything the machine printed
 *   output   what the emulator itself printed
 *   mode     how it was started, "key=value" lines
 *   result   how it ended: an exit status and a sentence
 */
#ifndef CONSOLE_MACHINE_H
#define CONSOLE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "error.h"

#define MACHINE_NAME_MAX 32u
#define MACHINE_PATH_MAX 512u

struct machine {
    char name[MACHINE_NAME_MAX];
    char dir[MACHINE_PATH_MAX - 64];
};

/* Names the machine and its directory; NULL takes the machine that was last started. Creates nothing. */
enum status machine_find(struct machine *m, const char *name, struct error *e);

/* Makes the directory (mode 0700, and refuses one that someone else made) and takes its lock; the descriptor
 * is returned in *lock and the machine counts as up until it, and every copy of it, is closed. */
enum status machine_claim(const struct machine *m, int *lock, struct error *e);

/* Path of a file in the directory, in a buffer of MACHINE_PATH_MAX bytes. Returns buf. */
char *machine_path(const struct machine *m, const char *file, char *buf);

bool machine_is_up(const struct machine *m);

/* Makes it the one that commands mean which name no machine. */
void machine_set_last(const struct machine *m);

/* Writes or reads (at most n - 1 bytes, NUL-terminated; false when there is none) a small file of the
 * directory. */
void machine_put(const struct machine *m, const char *file, const char *text);
bool machine_get(const struct machine *m, const char *file, char *buf, size_t n);

/* Removes the directory and the files above. */
void machine_forget(const struct machine *m);

#endif
