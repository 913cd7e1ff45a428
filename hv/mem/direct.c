/* SPDX-License-Identifier: MIT */
#include "mem/direct.h"

/* docs/architecture.md, "Address space". */
uint8_t *direct_base = (uint8_t *)0xffff800000000000;
