// SPDX-License-Identifier: MIT
// A clock interrupt as a guest's kernel has it, to see whether the guest is ever held up.
#ifndef MITE_TICKS_H
#define MITE_TICKS_H

#include <stdint.h>

// Takes timer interrupts at 1 kHz for `us`, sleeping between them, and prints how many came and
// the longest time from one to the next.
void ticks_run(uint64_t us);

#endif
