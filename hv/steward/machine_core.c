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

/* Entered as TITHE_ALARM_PART in tithe/abi.h says. Nothing may be lost that the interrupted code has in registers. */
void alarm_entry(void);
__asm__(".text\n"
        "alarm_entry:\n"
        "    push %rax; push %rcx; push %rdx; push %rbx; push %rbp; push %rsi; push %rdi\n"
        "    push %r8; push %r9; push %r10; push %r11\n"
        "    cld\n"
        "    mov %rsp, %rbp\n"
        "    sub $512, %rsp\n"
        "    and $-16, %rsp\n"
        "    fxsave64 (%rsp)\n"
        "    call budget_alarm\n"
        "    fxrstor64 (%rsp)\n"
        "    mov %rbp, %rsp\n"
        "    pop %r11; pop %r10; pop %r9; pop %r8\n"
        "    pop %rdi; pop %rsi; pop %rbp; pop %rbx; pop %rdx; pop %rcx; pop %rax\n"
        "    popfq\n"
        "    ret $128\n");

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
    if (call(TITHE_SYS_NOTE, address(&note), (uint64_t)(uintptr_t)alarm_entry, 0) < 0) return NULL;
    return core_refresh() < 0 ? NULL : &core;
}
