/* SPDX-License-Identifier: MIT
 *
 * What happened: a ring of the last events, each also a line of the log. A new event wakes the steward.
 */
#ifndef TITHE_VM_EVENT_H
#define TITHE_VM_EVENT_H

#include "tithe/abi.h"
#include "tithe/types.h"

#define EVENT_RING 256u

/* Records an event about VM `vm_id` (0: none); the text may be "". */
void event_emit(enum tithe_event_kind kind, uint32_t vm_id, uint64_t value, uint64_t value2, const char *fmt,
                ...) __attribute__((format(printf, 5, 6)));
/* The same for what a guest can cause as often as it likes, with the VM's name as text: after EVENT_BURST of them, one
 * every EVENT_PERIOD_NS is recorded and the others are not, lest it floods log and line and keeps the steward awake. */
#define EVENT_BURST     16u
#define EVENT_PERIOD_NS 1000000000ull
/* Under the VM's device lock, or while no vCPU of it runs. */
struct vm;
void event_of_guest(struct vm *vm, enum tithe_event_kind kind, uint64_t value);
/* The first event still held with seq >= *out's; false when there is none yet. */
bool event_read(uint64_t seq, struct tithe_event *out);
/* The sequence number of the next event. */
uint64_t event_next_seq(void);
/* How often somebody had to wait for the ring's lock. */
uint64_t events_contended(void);
/* The machine stops: writes the last events to the log without taking locks. */
void panic_events(void);

#endif
