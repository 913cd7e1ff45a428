/* SPDX-License-Identifier: MIT */
#include "command.h"

const struct command_group command_groups[] = {
    {"Virtual machines", vm_commands},
    {"Their memory", memory_commands},
    {"Policies", policy_commands},
    {"The machine", host_commands},
    {"Starting and ending", machine_commands},
    {NULL, NULL},
};
