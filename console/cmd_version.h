/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CMD_VERSION_H
#define CONSOLE_CMD_VERSION_H

#include "command.h"

#define TITHE_VERSION "0.1"

enum status cmd_version(struct context *t, struct error *e);

#endif
