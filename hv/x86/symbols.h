/* SPDX-License-Identifier: MIT
 *
 * Names of the core's functions, for backtraces; the table is made at link time (x86/symbols.sh).
 */
#ifndef TITHE_X86_SYMBOLS_H
#define TITHE_X86_SYMBOLS_H

#include "tithe/types.h"

/* The function that holds `address`, and how far into it; NULL outside the text. */
const char *symbol_find(uint64_t address, uint64_t *offset);

#endif
