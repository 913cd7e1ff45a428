/* SPDX-License-Identifier: MIT
 *
 * The table of verbs about virtual machines and their memory.
 */
#include "cmd_top.h"
#include "cmd_vm.h"

#define VM_IS "VM is a name or an id, as 'tithe list' shows them."

const struct command vm_commands[] = {
    {.name = "list",
     .summary = "list the VMs",
     .synopsis = "",
     .args_max = 0,
     .run = cmd_list,
     .description = "A line for each VM. VCPUS are its virtual CPUs; TARGET is how much memory the policy "
                    "lets it have, with a * when the operator "
                    "holds it (mem-set); CONSUMED is what it has now.",
     .examples = "tithe list\ntithe list --json | jq '.vms[].name'"},
    {.name = "info",
     .summary = "show all about a VM, or about the machine",
     .synopsis = "[VM]",
     .args_max = 1,
     .run = cmd_info,
     .description =
         "Of a VM also what each of its virtual CPUs does: its state, the CPU where it runs or ran last, and "
         "the CPU time it has had. Of the machine also what each of its CPUs did since it was "
         "started. " VM_IS,
     .examples = "tithe info\ntithe info web1\ntithe info --json | jq '.host.cpu[0].idle_ns'"},
    {.name = "top",
     .summary = "watch memory, CPUs and VMs live",
     .synopsis = "[--once] [--delay SECONDS]",
     .description =
         "On a terminal a live screen: ? for its keys, q leaves, : gives a prompt that takes these verbs. "
         "Otherwise a snapshot every few seconds. A VM's CPU% is of one CPU and over all its virtual CPUs: "
         "up to 100 "
         "for each.",
     .examples = "tithe top\ntithe top --once\ntithe top --json --count 3",
     .options = top_options,
     .args_max = 0,
     .run = cmd_top},
    {.name = "create",
     .summary = "make a VM and start it",
     .synopsis = "NAME --size SIZE [OPTIONS]",
     .description =
         "Without --kernel it is Debian's cloud kernel with an initramfs that brings the balloon driver and "
         "a "
         "workload program. A kernel or module may be an image of the machine ('tithe images') or a file "
         "here, which is uploaded.\n"
         "Virtual CPUs may be more than the machine has CPUs, for one VM and in all: they take turns.",
     .examples = "tithe create web1 --size 192M --min 64M --shares 2000\n"
                 "tithe create w2 --size 192M --append 'tithe.run=touch:64M,verify tithe.then=poweroff'\n"
                 "tithe create big --size 192M --vcpus 4 --cpu-shares 2000\n"
                 "tithe create tiny --size 16M --mite touch:8M,verify\n"
                 "tithe create k --size 32M --kernel ./kernel.elf --module ./disk.img --cmdline 'verbose'",
     .options = create_options,
     .args_min = 1,
     .args_max = 1,
     .run = cmd_create},
    {.name = "destroy",
     .summary = "end a VM and forget it",
     .synopsis = "VM",
     .description = VM_IS,
     .examples = "tithe destroy web1",
     .args_min = 1,
     .args_max = 1,
     .run = cmd_destroy},
    {.name = "pause",
     .summary = "stop a VM's CPUs",
     .synopsis = "VM",
     .description = VM_IS,
     .examples = "tithe pause web1",
     .args_min = 1,
     .args_max = 1,
     .run = cmd_pause},
    {.name = "unpause",
     .summary = "let a paused VM run again",
     .synopsis = "VM",
     .description = VM_IS,
     .examples = "tithe unpause web1",
     .args_min = 1,
     .args_max = 1,
     .run = cmd_unpause},
    {.name = "suspend",
     .summary = "stop a VM and send its memory to swap",
     .synopsis = "VM",
     .description = VM_IS
     "\nWhat it shares with others stays in memory. Nothing of it is lost; 'tithe resume' lets it go on.",
     .examples = "tithe suspend web1",
     .args_min = 1,
     .args_max = 1,
     .run = cmd_suspend},
    {.name = "resume",
     .summary = "let a suspended VM go on",
     .synopsis = "VM [--prefetch]",
     .description = VM_IS "\nIts pages come back from swap as it needs them.",
     .examples = "tithe resume web1\n"
                 "tithe resume web1 --prefetch",
     .options = resume_options,
     .args_min = 1,
     .args_max = 1,
     .run = cmd_resume},
    {.name = "console",
     .summary = "attach to a VM's serial console",
     .synopsis = "VM [--dump | --follow | --expect REGEX [--timeout SECONDS]] [--send TEXT]",
     .description = "On a terminal everything typed goes to the guest; Ctrl-] leaves. " VM_IS
                    "\nWith --expect the status is 0 when the text came, 3 when the time was up, and 5 when "
                    "the VM stopped "
                    "without it.",
     .examples = "tithe console web1\n"
                 "tithe console web1 --expect 'memload: PASS' --timeout 120\n"
                 "tithe console web1 --send 'free\\n' --expect Mem:",
     .options = console_options,
     .args_min = 1,
     .args_max = 1,
     .run = cmd_console},
    {.name = NULL},
};

const struct command memory_commands[] = {
    {.name = "mem-set",
     .summary = "set a VM's memory target, or leave it to the policy",
     .synopsis = "VM SIZE|auto",
     .description =
         "A target set here is held: policies do not move it until 'auto' gives it back to them. " VM_IS,
     .examples = "tithe mem-set web1 96M\ntithe mem-set web1 auto",
     .args_min = 2,
     .args_max = 2,
     .run = cmd_mem_set},
    {.name = "mem-max",
     .summary = "set the ceiling for a VM's memory",
     .synopsis = "VM SIZE",
     .description = VM_IS,
     .examples = "tithe mem-max web1 160M",
     .args_min = 2,
     .args_max = 2,
     .run = cmd_mem_max},
    {.name = "mem-min",
     .summary = "set what a VM is guaranteed",
     .synopsis = "VM SIZE|0",
     .description = VM_IS,
     .examples = "tithe mem-min web1 64M",
     .args_min = 2,
     .args_max = 2,
     .run = cmd_mem_min},
    {.name = "shares",
     .summary = "set a VM's weight against the others for memory",
     .synopsis = "VM N",
     .description = "1 to 1000000; what they mean is the policy's business. " VM_IS,
     .examples = "tithe shares web1 2000",
     .args_min = 2,
     .args_max = 2,
     .run = cmd_shares},
    {.name = "cpu-shares",
     .summary = "set a VM's weight against the others on the CPUs",
     .synopsis = "VM N",
     .description = "1 to 1000000; a VM is made with 1000. When VMs want more CPU time than there is, each "
                    "gets the part that its "
                    "shares are of the sum. A VM's shares are divided among its virtual CPUs: more of those "
                    "bring no more time, and "
                    "none of them can use more than one CPU. What one VM leaves goes to the others. " VM_IS,
     .examples = "tithe cpu-shares web1 2000",
     .args_min = 2,
     .args_max = 2,
     .run = cmd_cpu_shares},
    {.name = "share-group",
     .summary = "say with whom a VM shares equal pages",
     .synopsis = "VM N",
     .description =
         "1 to 127: with the VMs of the same group; 0, where every VM begins: with itself alone. "
         "What it shares already it shares until somebody writes to it. When pages are looked for, and "
         "whether the policy chooses "
         "groups by itself, is the policy's business: 'sharing' leaves them as they are with "
         "groups=keep. VMs that share pages can tell, by timing writes, "
         "what the others have in memory. " VM_IS,
     .examples = "tithe policy load sharing\n"
                 "tithe policy set groups=keep\n"
                 "tithe share-group web1 1\n"
                 "tithe share-group web2 1",
     .args_min = 2,
     .args_max = 2,
     .run = cmd_share_group},
    {.name = NULL},
};
