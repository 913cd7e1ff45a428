// SPDX-License-Identifier: MIT
// Whether a hypervisor keeps the floating-point and vector registers of its guests apart.
#ifndef MITE_FPU_H
#define MITE_FPU_H

#include <stdbool.h>
#include <stdint.h>

// Switches on what of x87, SSE and AVX there is. The state components, as in XCR0; 0 if none.
uint32_t fpu_enable(void);

// Fills the x87, SSE and, where there is one, AVX registers with values made from `seed`, sleeps
// and spins in turn for `us`, and compares. Prints the result; true if all are unchanged.
bool fpu_hold(uint32_t seed, uint64_t us);

#endif
