/* SPDX-License-Identifier: MIT */
#include "vm/emulate.h"

#include "vm/vm.h"

void emulate_mmio(struct vcpu *v)
{
    vm_crash(v, "MMIO");
}
void emulate_string_pio(struct vcpu *v)
{
    vm_crash(v, "string I/O");
}
