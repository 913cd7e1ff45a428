/* SPDX-License-Identifier: MIT
 *
 * Operations about one VM (m->vm): see enum tithe_op. 0, or a TITHE_E number with m->reason.
 */
#ifndef TITHE_VM_MGMT_VM_H
#define TITHE_VM_MGMT_VM_H

#include "tithe/abi.h"

int mgmt_destroy(struct tithe_mgmt *m);
int mgmt_pause(struct tithe_mgmt *m);
int mgmt_unpause(struct tithe_mgmt *m);
int mgmt_suspend(struct tithe_mgmt *m);
int mgmt_resume(struct tithe_mgmt *m);
int mgmt_set_target(struct tithe_mgmt *m);
int mgmt_set_max(struct tithe_mgmt *m);
int mgmt_set_min(struct tithe_mgmt *m);
int mgmt_set_shares(struct tithe_mgmt *m);
int mgmt_set_cpu_shares(struct tithe_mgmt *m);
int mgmt_set_group(struct tithe_mgmt *m);
int mgmt_console_read(struct tithe_mgmt *m);
int mgmt_console_write(struct tithe_mgmt *m);

#endif
