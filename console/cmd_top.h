/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_TOP_H
#define CONSOLE_CMD_TOP_H

#include "command.h"

extern const struct option_spec top_options[];

enum status cmd_top(struct context *t, struct error *e);

/* How the live screen was left: by its key, or from its prompt. Or there is no terminal that could show it. */
enum top_end { TOP_NOT_SHOWN, TOP_LEFT, TOP_QUIT };

/* The live screen, until the user leaves it. */
enum status top_screen(struct context *t, double delay_s, enum top_end *end, struct error *e);

#endif
