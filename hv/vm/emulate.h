/* SPDX-License-Identifier: MIT
 *
 * Exits whose instruction has to be looked at: device memory and string port I/O.
 */
#ifndef TITHE_VM_EMULATE_H
#define TITHE_VM_EMULATE_H

#include "vm/vcpu.h"

/* One access of 1, 2 or 4 bytes to a port of the VM. */
uint32_t port_in(struct vcpu *v, uint16_t port, unsigned bytes);
void port_out(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value);

/* The access at v->exit.u.fault hit no RAM: carries out the instruction on the devices. Injects what the
 * guest's own tables would raise; ends the VM when the instruction is none of those that touch devices, and was not either
 * when a vCPU that is not its VM's only one came back to it. */
void emulate_mmio(struct vcpu *v);
/* INS or OUTS at v->exit.u.pio. */
void emulate_string_pio(struct vcpu *v);

#endif
