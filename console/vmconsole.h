/* SPDX-License-Identifier: MIT
 *
 * The console of a VM, in chunks: what it has written, and what is typed at it.
 */
#ifndef CONSOLE_VMCONSOLE_H
#define CONSOLE_VMCONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "client.h"

struct vmconsole {
    struct client *client;
    const char *vm;  /* id or name */
    uint64_t offset; /* of the next byte to be read */
    uint64_t lost;   /* bytes that were overwritten before they could be read */
};

#define VMCONSOLE_CHUNK_BYTES 4096u

/* The next chunk, into buf (VMCONSOLE_CHUNK_BYTES); *length is 0 when there is nothing new. */
enum status vmconsole_read(struct vmconsole *v, char *buf, size_t *length, struct error *e);

/* Types all of it, waiting for the guest to take it. */
enum status vmconsole_write(struct vmconsole *v, const char *text, size_t length, struct error *e);

/* Whether the VM has stopped for good. */
enum status vmconsole_ended(struct vmconsole *v, bool *ended, struct error *e);

/* Where the console's output ends now. */
enum status vmconsole_end(struct vmconsole *v, uint64_t *offset, struct error *e);

#endif
