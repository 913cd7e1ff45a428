/* SPDX-License-Identifier: MIT
 *
 * Stopping the world, for what must see everything at rest: the ledger, and leaving.
 *
 * Who may wait for whom: any CPU may wait for another to *leave its guest*, which takes no lock and so always comes about. Only the
 * boot CPU, holding no lock, waits for more: for a VM's vCPUs to be between turns (sched_sync), for timers (timer_cancel), for
 * the world. So no two CPUs ever wait for each other.
 */
#ifndef TITHE_VM_WORLD_H
#define TITHE_VM_WORLD_H

/* Boot CPU only, no lock held: returns when every other CPU is between two turns, and stays there till world_resume. */
void world_stop(void);
void world_resume(void);
/* Called by every CPU in its loop, between turns: stays while the world is stopped. */
void world_check(void);

#endif
