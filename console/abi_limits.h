/* SPDX-License-Identifier: MIT
 *
 * Limits of the contract between core and steward that the console should know before it sends anything.
 */
#ifndef CONSOLE_ABI_LIMITS_H
#define CONSOLE_ABI_LIMITS_H

#include "tithe/abi.h"

#define NAME_MAX_BYTES    TITHE_NAME_MAX /* with the final NUL */
#define POLICY_MAX_BYTES  TITHE_POLICY_MAX_BYTES
#define VCPUS_MAX         TITHE_VCPUS_MAX
#define SHARES_MAX        1000000u /* of memory, and of the CPUs */
#define CMDLINE_MAX_BYTES (TITHE_CMDLINE_MAX - 1)

#endif
