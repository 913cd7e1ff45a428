/* SPDX-License-Identifier: MIT
 *
 * What all CPUs must have in common, for a vCPU runs on any of them: features, and what memory is cached how.
 */
#ifndef TITHE_X86_ALIKE_H
#define TITHE_X86_ALIKE_H

/* Notes what the boot CPU has. */
void alike_init(void);
/* Compares this CPU with it: NULL, or what differs, in words. Memory types (MTRRs) that differ are made equal, as not every firmware
 * does it. */
const char *alike_cpu_init(void);

#endif
