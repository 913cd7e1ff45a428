/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_TOP_H
#define CONSOLE_CMD_TOP_H

#include "command.h"

extern const struct option_spec top_options[];

enum status cmd_top(struct context *t, struct error *e);

/* The live screen, until the user leaves it. Returns STATUS_OK also when there is no terminal that could show
 * it, with *shown false. */
enum status top_screen(struct context *t, double delay_s, bool *shown, struct error *e);

#endif
