/* SPDX-License-Identifier: MIT
 *
 * Verbs about virtual machines.
 */
#ifndef CONSOLE_CMD_VM_H
#define CONSOLE_CMD_VM_H

#include "command.h"

extern const struct option_spec create_options[], console_options[], resume_options[];

enum status cmd_list(struct context *t, struct error *e);
enum status cmd_info(struct context *t, struct error *e);
enum status cmd_create(struct context *t, struct error *e);
enum status cmd_destroy(struct context *t, struct error *e);
enum status cmd_pause(struct context *t, struct error *e);
enum status cmd_unpause(struct context *t, struct error *e);
enum status cmd_suspend(struct context *t, struct error *e);
enum status cmd_resume(struct context *t, struct error *e);
enum status cmd_console(struct context *t, struct error *e);
enum status cmd_mem_set(struct context *t, struct error *e);
enum status cmd_mem_max(struct context *t, struct error *e);
enum status cmd_mem_min(struct context *t, struct error *e);
enum status cmd_shares(struct context *t, struct error *e);
enum status cmd_share_group(struct context *t, struct error *e);
enum status cmd_cpu_shares(struct context *t, struct error *e);

#endif
