/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_STOP_H
#define CONSOLE_CMD_STOP_H

#include "command.h"

extern const struct option_spec stop_options_table[];

/* Shuts the machine down and waits for its end; *e has the words for it also when all is well. */
enum status stop_machine(struct context *t, bool forced, struct error *e);

enum status cmd_stop(struct context *t, struct error *e);

#endif
