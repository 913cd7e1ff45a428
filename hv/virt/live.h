/* SPDX-License-Identifier: MIT
 *
 * Guest registers that neither VMCS nor VMCB holds and the core does not use. They stay in the CPU between
 * runs of one vCPU and are exchanged only when another one, or ring 3, gets the CPU.
 */
#ifndef TITHE_VIRT_LIVE_H
#define TITHE_VIRT_LIVE_H

#include "tithe/types.h"

struct vcpu;

struct live_state {
    uint64_t dr[4];
    uint64_t tsc_aux;
    /* VT-x only; the VMCB has these. */
    uint64_t cr2, dr6, star, lstar, cstar, fmask, kernel_gs_base;
};

/* State after reset. */
void live_reset(struct live_state *s);

/* Debug builds: panics when another CPU still holds registers of this vCPU. */
void live_check(const struct vcpu *v);

/* What both vendors leave in the CPU: DR0-3, TSC_AUX. */
void live_save_common(struct live_state *s);
void live_load_common(const struct live_state *s);

#endif
