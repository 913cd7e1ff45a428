/* SPDX-License-Identifier: MIT
 *
 * What the machine's CPUs did between two samples, on one line.
 */
#ifndef CONSOLE_CPULINE_H
#define CONSOLE_CPULINE_H

#include <stdio.h>

#include "sample.h"

/* Whether there is such a line: when `before` is an earlier sample (NULL: none) of the same machine. */
bool cpuline_given(const struct sample *now, const struct sample *before);

/* Writes it, as detailed as fits into `width` characters. Nothing when there is none. */
void cpuline_write(const struct sample *now, const struct sample *before, int width, FILE *out);

#endif
