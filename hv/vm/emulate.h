/* SPDX-License-Identifier: MIT
 *
 * Exits whose instruction has to be looked at: device memory and string port I/O.
 */
#ifndef TITHE_VM_EMULATE_H
#define TITHE_VM_EMULATE_H

#include "vm/vcpu.h"

/* The access at v->exit.u.fault hit no RAM: carries out the instruction on the devices. Injects what the
 * guest's own tables would raise; ends the VM when the instruction is none of those that touch devices. */
void emulate_mmio(struct vcpu *v);
/* INS or OUTS at v->exit.u.pio. */
void emulate_string_pio(struct vcpu *v);

#endif
