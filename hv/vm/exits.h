/* SPDX-License-Identifier: MIT
 *
 * What becomes of an exit.
 */
#ifndef TITHE_VM_EXITS_H
#define TITHE_VM_EXITS_H

#include "vm/vcpu.h"

/* Handles v->exit to the end. Afterwards v->state and v->vm->pending say whether and how it goes on. */
void exit_handle(struct vcpu *v);
/* The name of a kind, for statistics: "cpuid", "fault", ... */
const char *exit_name(enum exit_kind kind);

#endif
