/* SPDX-License-Identifier: MIT
 *
 * Fuzz targets: any bytes are a guest's doings, or an image. They end the program when something is wrong.
 */
#ifndef TITHE_TESTS_DEV_FUZZ_H
#define TITHE_TESTS_DEV_FUZZ_H

#include <stddef.h>
#include <stdint.h>

void fuzz_io(const uint8_t *data, size_t size);
void fuzz_load(const uint8_t *data, size_t size);

#endif
