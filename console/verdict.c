/* SPDX-License-Identifier: MIT */
#include "emulator.h"

#include <string.h>
#include <sys/wait.h>

/* QEMU's isa-debug-exit ends with (value << 1) | 1: never 0, which is what a triple fault gives. Bochs, left
 * through its debugger, ends with 0, and with 1 after a triple fault or a power-off. */
static bool agrees(enum hw hw, int exit_status, int said_status)
{
    switch (hw) {
    case HW_AMD:
    case HW_KVM: return exit_status == ((said_status << 1) | 1);
    default: return exit_status == 0;
    }
}

enum status emulator_verdict(enum hw hw, int wait_status, bool said_exit, int said_status, struct error *e)
{
    int exit_status;

    if (WIFSIGNALED(wait_status))
        return error_set(e, STATUS_EMULATOR, "killed", "machine", "",
                         "the emulator was ended by signal %d (%s)", WTERMSIG(wait_status),
                         strsignal(WTERMSIG(wait_status)));
    exit_status = WEXITSTATUS(wait_status);
    /* The simulated machine has no core that would say anything: its status is the one of the shutdown. */
    if (hw == HW_SIM && exit_status == 0)
        return error_set(e, STATUS_OK, "ok", "machine", "", "the simulated machine left with status 0");
    if (!said_exit)
        return error_set(e, STATUS_EMULATOR, "early-exit", "machine", "",
                         "the emulator ended with status %d before the core said so", exit_status);
    if (!agrees(hw, exit_status, said_status))
        return error_set(e, STATUS_EMULATOR, "disagreement", "machine", "",
                         "the core said it leaves with status %d, but the emulator ended with %d",
                         said_status, exit_status);
    if (said_status != 0)
        return error_set(e, STATUS_EMULATOR, "failed", "machine", "", "the core left with status %d",
                         said_status);
    return error_set(e, STATUS_OK, "ok", "machine", "", "the core left with status 0");
}
