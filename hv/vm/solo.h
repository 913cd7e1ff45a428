/* SPDX-License-Identifier: MIT
 *
 * One VM and nothing else, from the command line: `solo=IMAGE [solo_module=IMAGE] [solo_mib=N]
 * [solo_vcpus=N] [solo_args=WORDS] [solo_extra=N] [solo_extra_args=WORDS]`; in WORDS a '+' stands for a space.
 * N more VMs of the same image stand beside it, with one vCPU each and idle unless they have words of their own;
 * they start before it does. `solo_bench`: see vm/solo_bench.h. The machine leaves with the VM's exit code. For
 * benchmarks and tests that must run without anybody at the console, the same each time.
 */
#ifndef TITHE_VM_SOLO_H
#define TITHE_VM_SOLO_H

struct vm;

/* Makes the VM if the command line asks for one. NULL, or why it cannot. */
const char *solo_start(void);
/* A VM has ended: if it is the solo one, the ledger is checked and the machine left. */
void solo_stopped(const struct vm *vm);

#endif
