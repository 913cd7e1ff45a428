/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_POLICY_H
#define CONSOLE_CMD_POLICY_H

#include "command.h"

extern const struct option_spec policy_show_options[], policy_rollback_options[];

enum status cmd_policy_list(struct context *t, struct error *e);
enum status cmd_policy_show(struct context *t, struct error *e);
enum status cmd_policy_info(struct context *t, struct error *e);
enum status cmd_policy_check(struct context *t, struct error *e);
enum status cmd_policy_load(struct context *t, struct error *e);
enum status cmd_policy_rollback(struct context *t, struct error *e);
enum status cmd_policy_set(struct context *t, struct error *e);

/* Puts the source that the user means into a request for `verb` ("policy-check" or "policy-load"): a file,
 * which is sent first, or a policy the machine has. The request is then ready for client_call(). */
enum status policy_source(struct client *c, const char *verb, const char *text, struct error *e);

#endif
