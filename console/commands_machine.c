/* SPDX-License-Identifier: MIT
 *
 * Verbs about the emulated machine itself.
 */
#include <stdio.h>

#include "cmd_exp.h"
#include "cmd_run.h"
#include "cmd_stop.h"
#include "cmd_version.h"
#include "command.h"

const struct command machine_commands[] = {
    {.name = "run",
     .summary = "start a machine in an emulator",
     .synopsis = "[--hw HW] [--firmware FW] [--memory SIZE] [--cpus N] [--foreground]",
     .description = "Starts Bochs (vtx) or QEMU (amd, kvm) with Tithe in it, shows its log until it is "
                    "ready, and leaves it "
                    "running in the background; --foreground stays to the end. Possible are vtx with bios or "
                    "uefi, and amd or "
                    "kvm with none or uefi. Several CPUs can be had with all but vtx with uefi; the core's "
                    "own option cpus=N uses "
                    "fewer than there are. auto takes nested KVM where that works, else QEMU, and says so.\n"
                    "With --foreground the status is 0 only when the log's last word was 'tithe: exit 0' and "
                    "the emulator ended "
                    "as it does after that; a triple fault or any other early end gives 4.",
     .examples = "tithe run --hw vtx --firmware uefi --memory 512M\n"
                 "tithe run --hw amd --cpus 4\n"
                 "tithe run --hw amd --firmware none --foreground --timeout 60\n"
                 "tithe run --hw sim --name play && tithe --machine play list",
     .options = run_options_table,
     .args_max = 0,
     .run = cmd_run},
    {.name = "stop",
     .summary = "shut the machine down",
     .synopsis = "[--force]",
     .description =
         "Ends all VMs and the machine, waits for its emulator, and tells how it ended. With --force the "
         "emulator is ended if the machine does not answer.",
     .examples = "tithe stop\ntithe --machine play stop --force",
     .options = stop_options_table,
     .args_max = 0,
     .run = cmd_stop},
    {.name = "demo",
     .summary = "the demonstration: more VMs than memory, and a change of policy",
     .synopsis = "[--hw HW] [--firmware FW] [--memory SIZE]",
     .description =
         "Starts a machine and Linux VMs whose sizes add up to 1.5 times its memory, moves demand between "
         "them, replaces the policy half way, checks that memory follows, that every guest finds its data as "
         "it wrote it, and that the ledger balances. On a terminal it ends in 'tithe top'. Times are the "
         "machine's own.",
     .examples = "tithe demo\ntithe demo --hw vtx --firmware bios --batch",
     .options = demo_options,
     .args_max = 0,
     .run = cmd_demo},
    {.name = "exp run",
     .summary = "run an experiment: a Lua script with these verbs as functions",
     .synopsis = "FILE.lua [ARGUMENTS]",
     .description = "The table 'tithe' has a function for each verb (console/exp/verbs.lua), tithe.call() "
                    "for any request "
                    "of docs/protocol.cddl, and tithe.args. console/exp/demo.lua is an example.",
     .examples = "tithe exp run console/exp/demo.lua",
     .options = NULL,
     .args_min = 1,
     .args_max = -1,
     .run = cmd_exp_run},
    {.name = "version",
     .summary = "show the versions of console and machine",
     .synopsis = "",
     .description = "The machine's is shown when one can be reached.",
     .examples = "",
     .options = NULL,
     .args_max = 0,
     .run = cmd_version},
    {.name = NULL},
};
