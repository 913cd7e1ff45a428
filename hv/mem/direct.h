/* SPDX-License-Identifier: MIT
 *
 * The direct map: every frame of RAM is readable and writable at direct_base + hpa. In the core
 * direct_base is constant from boot on; tests on the build host point it at an arena.
 */
#ifndef TITHE_MEM_DIRECT_H
#define TITHE_MEM_DIRECT_H

#include "tithe/types.h"

extern uint8_t *direct_base;

static inline void *hpa_to_virt(hpa_t hpa)
{
    return direct_base + hpa;
}
static inline void *mfn_to_virt(mfn_t mfn)
{
    return direct_base + (mfn << PAGE_SHIFT);
}
static inline hpa_t virt_to_hpa(const void *virt)
{
    return (hpa_t)((const uint8_t *)virt - direct_base);
}

#endif
