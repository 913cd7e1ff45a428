/* SPDX-License-Identifier: MIT
 *
 * The end of a core that is wrong. Uses as little of it as possible: no locks, no memory but this CPU's.
 */
#include "drv/serial.h"
#include "lib/log.h"
#include "x86/cpu.h"
#include "x86/leave.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/symbols.h"
#include "x86/trap.h"

#define BACKTRACE_MAX 32u

/* Writes the last events by log_line_panic; vm/ has the real one. */
__attribute__((weak)) void panic_events(void) {}

static uint32_t panics; /* of the CPU that has stopped the others */

static const char *const exception_names[] = {
    "divide error",
    "debug",
    "NMI",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "no device",
    "double fault",
    "coprocessor overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87 error",
    "alignment check",
    "machine check",
    "SIMD error",
    "virtualization",
    "control protection",
};

static void print_place(const char *what, uint64_t rip)
{
    uint64_t offset = 0;
    const char *name = symbol_find(rip, &offset);

    if (name != NULL)
        log_line_panic("panic: %s %016lx %s+0x%lx", what, rip, name, offset);
    else
        log_line_panic("panic: %s %016lx", what, rip);
}

static void print_backtrace(uint64_t rbp)
{
    for (unsigned i = 0; i < BACKTRACE_MAX && rbp >> 47 == 0x1ffff && (rbp & 7) == 0; i++) {
        uint64_t next, rip;
        if (!read_word_safe((const uint64_t *)rbp, &next) || !read_word_safe((const uint64_t *)rbp + 1, &rip))
            break;
        if (rip == 0) break;
        print_place("  by", rip - 1); /* the call, not what follows it */
        if (next <= rbp) break;       /* outwards only */
        rbp = next;
    }
}

static void print_control_registers(void)
{
    log_line_panic("panic: cr0 %016lx cr2 %016lx cr3 %016lx cr4 %016lx", read_cr0(), read_cr2(), read_cr3(),
                   read_cr4());
    log_line_panic("panic: efer %lx gs_base %016lx cpu %u locks 0x%x", rdmsr(MSR_EFER), rdmsr(MSR_GS_BASE),
                   this_cpu()->index, this_cpu()->locks_held);
}

/* The first CPU to panic goes on and stops all others, even those that panic; a panic within a panic says so and
 * ends. */
static void panic_begin(void)
{
    smp_stop_others();
    if (panics == 0) {
        panics = 1;
    } else if (panics++ == 1) {
        log_line_panic("panic: a second panic while handling the first");
        machine_leave(LEAVE_PANIC);
    } else {
        cpu_halt();
    }
}

_Noreturn static void panic_end(void)
{
    panic_events();
    machine_leave(LEAVE_PANIC);
}

void panic(const char *fmt, ...)
{
    char why[256];
    va_list args;

    panic_begin();
    va_start(args, fmt);
    (void)fmt_vstring(why, sizeof why, fmt, args);
    va_end(args);
    log_line_panic("panic: %s", why);
    print_control_registers();
    print_backtrace((uint64_t)(uintptr_t)__builtin_frame_address(0));
    panic_end();
}

void panic_trap(const struct trap_frame *f)
{
    const uint64_t *r = f->gpr;

    panic_begin();
    log_line_panic("panic: %s (vector %lu, error 0x%lx) in ring %lu",
                   f->vector < ARRAY_LEN(exception_names) ? exception_names[f->vector] : "exception",
                   f->vector, f->error, f->cs & 3);
    print_place("rip", f->rip);
    log_line_panic("panic: rax %016lx rcx %016lx rdx %016lx rbx %016lx", r[RAX], r[RCX], r[RDX], r[RBX]);
    log_line_panic("panic: rsp %016lx rbp %016lx rsi %016lx rdi %016lx", f->rsp, r[RBP], r[RSI], r[RDI]);
    log_line_panic("panic: r8  %016lx r9  %016lx r10 %016lx r11 %016lx", r[R8], r[R9], r[R10], r[R11]);
    log_line_panic("panic: r12 %016lx r13 %016lx r14 %016lx r15 %016lx", r[R12], r[R13], r[R14], r[R15]);
    log_line_panic("panic: rflags %lx cs %lx ss %lx", f->rflags, f->cs, f->ss);
    print_control_registers();
    print_backtrace(r[RBP]);
    panic_end();
}
