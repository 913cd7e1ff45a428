/* SPDX-License-Identifier: MIT
 *
 * Verbs about the machine: its numbers, its history, its images.
 */
#ifndef CONSOLE_CMD_HOST_H
#define CONSOLE_CMD_HOST_H

#include "command.h"

extern const struct option_spec events_options[], log_options[], upload_options[];

enum status cmd_stats(struct context *t, struct error *e);
enum status cmd_events(struct context *t, struct error *e);
enum status cmd_ledger(struct context *t, struct error *e);
enum status cmd_log(struct context *t, struct error *e);
enum status cmd_disks(struct context *t, struct error *e);
enum status cmd_images(struct context *t, struct error *e);
enum status cmd_upload(struct context *t, struct error *e);
enum status cmd_images_delete(struct context *t, struct error *e);

/* One event in words, without a newline, e.g. "vm-stopped VM 3: poweroff". */
void event_text(const cbor_item_t *event, char *buf, size_t n);

#endif
