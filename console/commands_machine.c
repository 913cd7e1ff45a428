/* SPDX-License-Identifier: MIT
 *
 * Verbs about the emulated machine itself.
 */
#include <stdio.h>

#include "cmd_run.h"
#include "cmd_stop.h"
#include "cmd_version.h"
#include "command.h"

const struct command machine_commands[] = {
    {.name = "run",
     .summary = "start a machine in an emulator",
     .synopsis = "[--hw HW] [--firmware FW] [--memory SIZE] [--foreground]",
     .description = "Starts Bochs (vtx) or QEMU (amd, kvm) with Tithe in it, shows its log until it is "
                    "ready, and leaves it "
                    "running in the background; --foreground stays to the end. Possible are vtx with bios or "
                    "uefi, and amd or "
                    "kvm with none or uefi. auto takes nested KVM where that works, else QEMU, and says so.\n"
                    "With --foreground the status is 0 only when the log's last word was 'tithe: exit 0' and "
                    "the emulator ended "
                    "as it does after that; a triple fault or any other early end gives 4.",
     .examples = "tithe run --hw vtx --firmware uefi --memory 512M\n"
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
