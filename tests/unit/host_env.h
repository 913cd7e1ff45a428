/* SPDX-License-Identifier: MIT
 *
 * Stand-ins for what core code asks of the machine (lib/lock.h, lib/log.h, the direct map), so that it runs
 * in a program of the build host: compile tests/unit/host_env.c with it.
 */
#ifndef TITHE_TESTS_HOST_ENV_H
#define TITHE_TESTS_HOST_ENV_H

#include "tithe/types.h"

#include <setjmp.h>

/* A fresh machine: an arena of `frames` frames behind the direct map, filled with a pattern that is not zero,
 * no lock held. A machine before it is given back. */
void host_env_reset(uint64_t frames);
void host_env_end(void);

/* The panics of statement `act` are caught: true if it panicked with a text that contains `words`. A panic
 * nobody expects ends the program. Locks held at the panic are forgotten. */
extern jmp_buf host_env_panic;
void host_env_expect_panic(void);
bool host_env_panicked(bool jumped, const char *words);
#define PANICS(words, act)                                                                                   \
    (host_env_expect_panic(), setjmp(host_env_panic) ? host_env_panicked(true, (words))                      \
                                                     : ((void)(act), host_env_panicked(false, (words))))

/* The text of the last panic that was caught. */
const char *host_env_panic_text(void);
/* The last log line. */
const char *host_env_log(void);
/* The CPU that the program is now: 0 after host_env_reset. */
void host_env_cpu(uint32_t index);
/* Levels of locks held now, a bit for each. */
uint32_t host_env_locks(void);

#endif
