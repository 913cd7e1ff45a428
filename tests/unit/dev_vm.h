/* SPDX-License-Identifier: MIT
 *
 * One vCPU around the fake platform, with a clock and system registers that tests set.
 */
#ifndef TITHE_TESTS_DEV_VM_H
#define TITHE_TESTS_DEV_VM_H

#include "dev_machine.h"

#include "virt/vendor.h"
#include "vm/vm.h"

extern struct vm dev_vm;
extern struct vcpu dev_vcpu;
extern uint64_t dev_sys[SYS_COUNT];
extern uint64_t dev_tsc_hz, dev_now_ns, dev_xcr0;
extern unsigned dev_offset_sets;

int dev_vm_setup(void **state);
#define VM_TEST(f) cmocka_unit_test_setup(f, dev_vm_setup)

#endif
