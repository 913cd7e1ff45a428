/* SPDX-License-Identifier: MIT
 *
 * Time: reading it, passing it, and looking for pauses in it.
 */
#ifndef MEMLOAD_CLOCK_H
#define MEMLOAD_CLOCK_H

#include <stdint.h>

uint64_t clock_us(void); /* monotonic */
void clock_sleep_ms(uint64_t ms);
int clock_print(void);
int clock_ticks(uint64_t ms);

#endif
