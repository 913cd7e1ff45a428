/* SPDX-License-Identifier: MIT */
#ifndef TITHE_VIRT_DUMP_H
#define TITHE_VIRT_DUMP_H

#include "vm/vcpu.h"

/* Logs the registers both vendors have. */
void dump_common(struct vcpu *v);

#endif
