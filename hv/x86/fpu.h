/* SPDX-License-Identifier: MIT
 *
 * Floating-point and vector state. The core never uses these registers; it only moves them between
 * their owners: vCPUs and the steward.
 */
#ifndef TITHE_X86_FPU_H
#define TITHE_X86_FPU_H

#include "tithe/types.h"
#include "vm/vcpu.h"

/* Enables XSAVE and all of x87, SSE, AVX, AVX-512 that this CPU has; FXSAVE alone where there is no XSAVE. */
void fpu_cpu_init(void);

/* All features an owner may have: XCR0 as the core sets it; 0 without XSAVE. */
uint64_t fpu_host_xcr0(void);
/* May an owner have this XCR0 (SDM 1 13.3)? */
bool fpu_xcr0_valid(uint64_t xcr0);
/* Bytes of a state area with all features. */
size_t fpu_area_bytes(void);

/* A fresh area in the state after reset (x87 control word 0x37f, MXCSR 0x1f80) with XCR0 = 1 as after reset;
 * the steward's owner then sets xcr0 = fpu_host_xcr0(). False: no memory. */
MUST_CHECK bool fpu_state_init(struct fpu_state *state);
void fpu_state_free(struct fpu_state *state);
/* State after reset again, area kept; not while it is loaded. */
void fpu_state_reset(struct fpu_state *state);

/* Saves the registers into `from` (NULL: they are nobody's), loads them and XCR0 from `to` (NULL: leave as
 * they are). */
void fpu_switch(struct fpu_state *from, struct fpu_state *to);
/* XCR0 as the owner of the registers has it now; 0 without XSAVE. */
uint64_t fpu_owner_xcr0(void);
/* The owner of the registers, `current`, changes its XCR0: XSETBV. False: not a valid value. */
MUST_CHECK bool fpu_set_xcr0(struct fpu_state *current, uint64_t xcr0);

#endif
