/* SPDX-License-Identifier: MIT
 *
 * An event to be injected: VT-x's VM-entry interruption information (SDM 3C 25.8.3) and AMD-V's EVENTINJ
 * (APM 2 15.20) share vector, type, error-code and valid bits.
 */
#ifndef TITHE_VIRT_EVENT_H
#define TITHE_VIRT_EVENT_H

#include "tithe/types.h"
#include "x86/msr.h"

#define EVENT_VECTOR         0xFFu
#define EVENT_TYPE           (7u << 8)
#define EVENT_INTERRUPT      (0u << 8)
#define EVENT_NMI            (2u << 8)
#define EVENT_EXCEPTION      (3u << 8)
#define EVENT_SOFT_INTERRUPT (4u << 8) /* INT n */
#define EVENT_SOFT_EXCEPTION (6u << 8) /* INT3, INTO (VT-x only; type 5, INT1, likewise) */
#define EVENT_HAS_ERROR      (1u << 11)
#define EVENT_VALID          (1u << 31)
/* Not the hardware's: what event_combine says when nothing can be delivered any more. */
#define EVENT_TRIPLE_FAULT   1u

/* Injecting `event` while `old` (0: none) has not been delivered yet: the event that has to be delivered, by
 * SDM 3A 6.15 "Interrupt 8". An older interrupt or benign exception gives way: its
 * instruction runs again and meets it again, or it was acknowledged and is lost, as on a real CPU. */
uint32_t event_combine(uint32_t old, uint32_t event);

#endif
