/* SPDX-License-Identifier: MIT
 *
 * `tithe exp run` and `tithe demo`, which is such an experiment.
 */
#include "cmd_exp.h"

#include "exp.h"
#include "files.h"

#define DEMO_FILE "console/exp/demo.lua"

const struct option_spec demo_options[] = {
    {"hw", "vtx|amd|kvm|auto|sim", "as for 'tithe run'"},
    {"firmware", "bios|uefi|none", "as for 'tithe run'"},
    {"memory", "SIZE", "of the machine (default: 512M)"},
    {"cpus", "N|auto", "as for 'tithe run' (default: auto)"},
    {"vms", "N", "how many, at least 2 (default: 4)"},
    {"vm-size", "SIZE", "of each (default: what makes 1.5 times the machine's memory)"},
    {"load", "SIZE", "that a busy guest fills and verifies (default: what fits)"},
    {"rounds", "N", "how often demand moves under each policy (default: 1)"},
    {"name", "NAME", "of the machine (default: demo)"},
    {"timeout", "SECONDS", "of the host's, for all (default: 3600)"},
    {"plot", "FILE", "draw the allocations over time there, as .svg or .png"},
    {"batch", NULL, "do not end in 'top', also on a terminal"},
    {"keep", NULL, "leave the machine running"},
    {"sim-command", "COMMAND", "as for 'tithe run'"},
    {NULL, NULL, NULL},
};

enum status cmd_exp_run(struct context *t, struct error *e)
{
    return exp_run(t, context_arg(t, 0), t->options, 1, e);
}

enum status cmd_demo(struct context *t, struct error *e)
{
    char path[FILES_PATH_MAX];

    return exp_run(t, tree_path(DEMO_FILE, path), t->options, 0, e);
}
