/* SPDX-License-Identifier: MIT */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#include "host_env.h"

#include "lib/cpu_index.h"
#include "lib/lock.h"
#include "lib/log.h"
#include "mem/direct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static uint8_t *arena;
static size_t arena_bytes;
static uint32_t held; /* levels of locks */
static uint32_t cpu;
static bool panic_expected;
static char panic_text[512];
static char last_log[512];
jmp_buf host_env_panic;

void host_env_reset(uint64_t frames)
{
    host_env_end();
    held = 0;
    cpu = 0;
    if (!frames) return;
    arena_bytes = frames * PAGE_BYTES;
    arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED) panic("no arena of %lu frames", frames);
    memset(arena, 0xa5, arena_bytes);
    direct_base = arena;
}

void host_env_end(void)
{
    if (arena) munmap(arena, arena_bytes);
    arena = NULL;
}

/* Weak: programs with threads bring locks and a cpu_index that can wait and tell threads apart. */
__attribute__((weak)) void lock_acquire(struct lock *lock)
{
    if (lock->level == 0 || lock->level >= LOCK_LEVELS) panic("lock of level %u", lock->level);
    if (held >> lock->level) panic("lock of level %u taken with levels 0x%x held", lock->level, held);
    if (!lock_is_free(lock)) panic("lock of level %u taken twice", lock->level);
    lock->next++;
    held |= 1u << lock->level;
}

__attribute__((weak)) void lock_release(struct lock *lock)
{
    if (lock_is_free(lock)) panic("lock of level %u released but not held", lock->level);
    lock->serving++;
    held &= ~(1u << lock->level);
}

__attribute__((weak)) uint32_t cpu_index(void)
{
    return cpu;
}

void host_env_cpu(uint32_t index)
{
    cpu = index;
}

uint32_t host_env_locks(void)
{
    return held;
}

int fmt_vstring(char *out, size_t size, const char *fmt, va_list args)
{
    return vsnprintf(out, size, fmt, args);
}

int fmt_string(char *out, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    const int n = fmt_vstring(out, size, fmt, args);
    va_end(args);
    return n;
}

void log_line(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(last_log, sizeof(last_log), fmt, args);
    va_end(args);
    if (getenv("TEST_LOG")) fprintf(stderr, "# %s\n", last_log);
}

const char *host_env_log(void)
{
    return last_log;
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(panic_text, sizeof(panic_text), fmt, args);
    va_end(args);
    if (panic_expected) longjmp(host_env_panic, 1);
    fprintf(stderr, "panic: %s\n", panic_text);
    abort();
}

void host_env_expect_panic(void)
{
    panic_expected = true;
    panic_text[0] = '\0';
}

bool host_env_panicked(bool jumped, const char *words)
{
    panic_expected = false;
    if (jumped) held = 0;
    if (!jumped)
        fprintf(stderr, "no panic, expected: %s\n", words);
    else if (!strstr(panic_text, words))
        fprintf(stderr, "panic: %s; expected: %s\n", panic_text, words);
    return jumped && strstr(panic_text, words) != NULL;
}

const char *host_env_panic_text(void)
{
    return panic_text;
}
