/* SPDX-License-Identifier: MIT */
#ifndef CONSOLE_CLOCK_H
#define CONSOLE_CLOCK_H

/* The host's monotonic time in seconds. */
double clock_now_s(void);

/* Sleeps, through signals. */
void clock_sleep_s(double seconds);

#endif
