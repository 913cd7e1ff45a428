/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_EXP_H
#define CONSOLE_CMD_EXP_H

#include "command.h"

extern const struct option_spec demo_options[];

enum status cmd_exp_run(struct context *t, struct error *e);
enum status cmd_demo(struct context *t, struct error *e);

#endif
