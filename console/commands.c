/* SPDX-License-Identifier: MIT */
#include "command.h"

const struct command_group command_groups[] = {
    {"The machine", machine_commands},
    {NULL, NULL},
};
