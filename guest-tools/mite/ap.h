// SPDX-License-Identifier: MIT
// Between smp.c and ap.S.
#ifndef MITE_AP_H
#define MITE_AP_H

#define AP_CODE        0x8000 // mite uses nothing else of the first MiB for long
#define AP_STACK_BYTES 4096
#define AP_STACKS      7

#endif
