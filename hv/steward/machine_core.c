/* SPDX-License-Identifier: MIT
 *
 * The core's system calls. Not through libc's syscall(), which would turn the
 * results into errno.
 */
#include <unistd.h>
#include "machine.h"

static int64_t call(uint64_t number, uint64_t a, uint64_t b, uint64_t c)
{
    int64_t result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}

static uint64_t address(const void *p)
{
    return (uint64_t)(uintptr_t)p;
}

static int64_t core_wait(uint64_t until_ns)
{
    return call(TITHE_SYS_WAIT, until_ns, 0, 0);
}

static int64_t core_refresh(void)
{
    return call(TITHE_SYS_SNAPSHOT, 0, 0, 0);
}

static int64_t core_plan(const struct tithe_action *actions, uint64_t count, struct tithe_plan_result *result)
{
    return call(TITHE_SYS_PLAN, address(actions), count, address(result));
}

static int64_t core_mgmt(struct tithe_mgmt *m)
{
    return call(TITHE_SYS_MGMT, address(m), 0, 0);
}

static int64_t core_phase(uint64_t phase)
{
    return call(TITHE_SYS_TICK, phase, 0, 0);
}

static int64_t core_read(void *bytes, size_t size_bytes)
{
    return read(0, bytes, size_bytes);
}

static bool core_finished(void)
{
    return false;
}

const struct machine *machine_core(void)
{
    static struct tithe_note note;
    static const struct machine core = {
        .snapshot = (const struct tithe_snapshot *)TITHE_SNAPSHOT_ADDR,
        .note = &note,
        .wait = core_wait,
        .refresh = core_refresh,
        .plan = core_plan,
        .mgmt = core_mgmt,
        .phase = core_phase,
        .read = core_read,
        .finished = core_finished,
    };
    if (call(TITHE_SYS_NOTE, address(&note), 0, 0) < 0) return NULL;
    return core_refresh() < 0 ? NULL : &core;
}
