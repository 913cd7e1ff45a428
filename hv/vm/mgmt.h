/* SPDX-License-Identifier: MIT
 *
 * What an operator asks for, through the steward.
 */
#ifndef TITHE_VM_MGMT_H
#define TITHE_VM_MGMT_H

#include "tithe/abi.h"

/* Carries out one operation. 0, or a TITHE_E number with m->reason in words. A changing operation of a
 * session is done once: the same request again gets its first outcome. */
int mgmt_do(struct tithe_mgmt *m);
/* An end of everything has been asked for: with this status, or -1. */
int mgmt_shutdown_status(void);

#endif
