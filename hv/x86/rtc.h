/* SPDX-License-Identifier: MIT
 *
 * The battery clock, taken to run on UTC and to be in this century.
 */
#ifndef TITHE_X86_RTC_H
#define TITHE_X86_RTC_H

#include "tithe/types.h"

/* Nanoseconds since 1970. */
uint64_t rtc_read_ns(void);

#endif
