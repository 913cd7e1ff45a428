/* SPDX-License-Identifier: MIT
 *
 * Words of the trade, as types. gfn/mfn are frame numbers (address >> 12), gpa/hpa addresses.
 */
#ifndef TITHE_TYPES_H
#define TITHE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t; /* guest-physical address */
typedef uint64_t gva_t; /* guest-virtual (linear) address */
typedef uint64_t hpa_t; /* host-physical address */
typedef uint64_t gfn_t; /* guest frame number */
typedef uint64_t mfn_t; /* machine frame number */

#define PAGE_SHIFT 12u
#define PAGE_BYTES 4096u
#define PAGE_MASK  (~(uint64_t)(PAGE_BYTES - 1))

#define MFN_NONE UINT64_MAX

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define GIB (1024ull * MIB)

#define MUST_CHECK                      __attribute__((warn_unused_result))
#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
