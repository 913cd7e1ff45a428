/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_STOP_H
#define CONSOLE_CMD_STOP_H

#include "command.h"

extern const struct option_spec stop_options_table[];

enum status cmd_stop(struct context *t, struct error *e);

#endif
