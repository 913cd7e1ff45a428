/* SPDX-License-Identifier: MIT
 *
 * Tries on the machine itself what no test on the build host can: protection, ring 3, timer, FPU switch.
 */
#ifdef TITHE_DEBUG
#include "boot/boot_info.h"
#include "boot/layout.h"
#include "boot/selftest.h"
#include "drv/serial.h"
#include "lib/log.h"
#include "lib/string.h"
#include "mem/frame.h"
#include "vm/event.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/host_map.h"
#include "x86/irq.h"
#include "x86/leave.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/time.h"
#include "x86/user.h"
#include "x86/user_space.h"

#define CODE  0x400000ull
#define DATA  0x600000ull
#define STACK 0x7000000ull

extern const char selftest_user[], selftest_user_end[];
#define PIECE(name) extern const char selftest_##name[]
PIECE(syscall);
PIECE(touch);
PIECE(store);
PIECE(jump);
PIECE(loop);
PIECE(halt);
PIECE(port);
PIECE(divide);
PIECE(cr0);
PIECE(swapgs);
PIECE(interrupt);
PIECE(step);
PIECE(step_syscall);
PIECE(selectors);
PIECE(gs_and_fs);
PIECE(vector_set);
PIECE(vector_get);

static unsigned failures;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            log_line("self-test: line %d: not so: %s", __LINE__, #condition);                                \
            failures++;                                                                                      \
        }                                                                                                    \
    } while (0)

static void look_at_leaf(void *ctx, uint64_t *slot, uint64_t page, unsigned level)
{
    unsigned rights, *bad = ctx;
    hpa_t hpa;

    (void)slot, (void)level;
    if (pt_lookup(&host_pt, page << PAGE_SHIFT, &hpa, &rights) && (rights & PT_WRITE) && (rights & PT_EXEC))
        ++*bad;
}

static void test_tables(void)
{
    static const struct pt_visitor visitor = {.entry = look_at_leaf};
    unsigned bad = 0, rights = 0;
    uint64_t word;

    pt_visit(&pt_format_host, host_pt.root, 0, 1ull << 36, &visitor, &bad);
    CHECK(bad == 0); /* nothing both writable and executable */
    CHECK(pt_lookup(&host_pt, DIRECT_BASE + image_to_hpa(text_start), NULL, &rights) && !(rights & PT_WRITE));
    CHECK(!read_word_safe(NULL, &word));
    CHECK(!read_word_safe((const uint64_t *)(const void *)boot_stacks, &word)); /* guard page */
    CHECK(read_word_safe((const uint64_t *)(const void *)text_start, &word));
}

static void test_timer(void)
{
    uint64_t start = time_now_ns(), deadline = start + 2000000, before = this_cpu()->interrupts;

    do {
        time_arm(deadline); /* may come early */
        while (this_cpu()->timer_deadline_ns != NO_DEADLINE) cpu_idle();
    } while (time_now_ns() < deadline);
    CHECK(this_cpu()->interrupts > before);
    time_arm(1); /* long past: at once */
    while (this_cpu()->timer_deadline_ns != NO_DEADLINE) cpu_idle();
    CHECK(tsc_to_ns(tsc_hz()) - 999999999 <= 1);
    CHECK(ns_to_tsc(1000000000) - (tsc_hz() - 1) <= 1);
    CHECK(wall_ns_at_boot() > 946684800000000000ull); /* 2000 */
}

/* Goes on after interrupts: the serial port has some, too. */
static enum user_exit go_on(struct user_space *space, struct user_context *context)
{
    enum user_exit exit;

    do {
        exit = user_enter(context, space->root);
    } while (exit == USER_INTERRUPT && context->vector != IRQ_VECTOR_TIMER);
    return exit;
}

static enum user_exit run(struct user_space *space, struct user_context *context, const char *piece,
                          uint64_t rdi)
{
    context->rip = CODE + (uint64_t)(piece - selftest_user);
    context->gpr[RDI] = rdi;
    context->gpr[RSP] = STACK + PAGE_BYTES;
    context->rflags = 0;
    return go_on(space, context);
}

/* QEMU 7.2 gives INT a selector index of twice the vector (SDM 3A 6.13: once). */
#define ANY_ERROR UINT64_MAX

/* The piece ends in this exception with this error code. */
static bool faults(struct user_space *space, const char *piece, uint64_t rdi, enum vector vector,
                   uint64_t error)
{
    struct user_context context = {0};

    if (run(space, &context, piece, rdi) != USER_FAULT) return false;
    if (vector == VECTOR_PF && context.cr2 != rdi) return false;
    return context.vector == vector && (error == ANY_ERROR || context.error == error);
}

static void test_ring3_calls(struct user_space *space)
{
    struct user_context context = {0};
    uint64_t word = 0x0123456789abcdef, back = 0;

    CHECK(run(space, &context, selftest_syscall, 7) == USER_SYSCALL);
    CHECK(context.gpr[RAX] == 0x1122334455667788 && context.gpr[R15] == 0x99 && context.gpr[RDI] == 7);
    CHECK(context.gpr[RSP] == 1ull << 63 && (context.rflags & RFLAGS_IF));
    context.gpr[RAX] = 41;
    CHECK(go_on(space, &context) == USER_SYSCALL && context.gpr[RAX] == 42);

    CHECK(user_copy_out(space, DATA + PAGE_BYTES - 4, &word, 8)); /* across two pages */
    CHECK(run(space, &context, selftest_touch, DATA + PAGE_BYTES - 4) == USER_SYSCALL &&
          context.gpr[RAX] == word);
    context.gpr[RAX] = ~word;
    CHECK(run(space, &context, selftest_store, DATA + 8) == USER_SYSCALL);
    CHECK(user_copy_in(space, DATA + 8, &back, 8) && back == ~word);
    CHECK(!user_copy_out(space, CODE, &word, 8) && !user_copy_in(space, DATA + 2 * PAGE_BYTES - 4, &back, 8));
    CHECK(!user_copy_in(space, (uint64_t)(uintptr_t)text_start, &back, 8) &&
          !user_copy_in(space, UINT64_MAX - 3, &back, 8));

    context.fs_base = DATA + 8;
    context.gs_base = DATA + PAGE_BYTES - 4;
    CHECK(run(space, &context, selftest_gs_and_fs, 0) == USER_SYSCALL);
    CHECK(context.gpr[RAX] == ~word && context.gpr[RBX] == word);

    CHECK(run(space, &context, selftest_selectors, 0) == USER_SYSCALL && this_cpu() == percpu_of(0));
    CHECK(run(space, &context, selftest_selectors, 0) == USER_SYSCALL && this_cpu() == percpu_of(0));
    (void)run(space, &context, selftest_step_syscall,
              0); /* CPUs differ in how it ends; that it ends is the test */

    time_arm(time_now_ns() + 1000000);
    CHECK(run(space, &context, selftest_loop, 0) == USER_INTERRUPT);
    time_arm(NO_DEADLINE);
}

static void measure_ring3(struct user_space *space)
{
    struct user_context context = {0};
    uint64_t before = rdtsc();

    for (unsigned i = 0; i < 1000; i++) CHECK(run(space, &context, selftest_syscall, 0) == USER_SYSCALL);
    log_line("self-test: into ring 3 and back by SYSCALL: %lu ticks", (rdtsc() - before) / 1000);
}

static void test_ring3_faults(struct user_space *space)
{
    struct user_context context = {0};
    uint64_t direct = DIRECT_BASE + image_to_hpa(data_start), text = (uint64_t)(uintptr_t)text_start;

    /* Page-fault error code: 1 present, 2 write, 4 ring 3, 16 fetch. */
    CHECK(faults(space, selftest_touch, 0, VECTOR_PF, 4));
    CHECK(faults(space, selftest_touch, direct, VECTOR_PF, 5));
    CHECK(faults(space, selftest_store, text, VECTOR_PF, 7));
    CHECK(faults(space, selftest_store, CODE, VECTOR_PF, 7));
    CHECK(faults(space, selftest_jump, DATA, VECTOR_PF, 21));
    CHECK(faults(space, selftest_jump, text, VECTOR_PF, 21));
    CHECK(faults(space, selftest_touch, 1ull << 62, VECTOR_GP, 0));
    CHECK(faults(space, selftest_halt, 0, VECTOR_GP, 0));
    CHECK(faults(space, selftest_port, 0, VECTOR_GP, 0));
    CHECK(faults(space, selftest_cr0, 0, VECTOR_GP, 0));
    CHECK(faults(space, selftest_swapgs, 0, VECTOR_GP, 0));
    CHECK(faults(space, selftest_interrupt, 0, VECTOR_GP, ANY_ERROR));
    CHECK(faults(space, selftest_divide, 0, VECTOR_DE, 0));
    CHECK(faults(space, selftest_step, 0, VECTOR_DB, 0));
    context.rip = 1ull << 63;
    CHECK(user_enter(&context, space->root) == USER_FAULT && context.vector == VECTOR_GP);
    CHECK(user_protect(space, DATA, 1, 0));
    CHECK(faults(space, selftest_touch, DATA, VECTOR_PF, 5));
}

static void test_fpu(struct user_space *space)
{
    struct user_context context = {0};
    struct fpu_state a, b;

    CHECK(fpu_state_init(&a) && fpu_state_init(&b));
    fpu_switch(NULL, &a);
    CHECK(run(space, &context, selftest_vector_set, 111) == USER_SYSCALL);
    fpu_switch(&a, &b);
    CHECK(run(space, &context, selftest_vector_get, 0) == USER_SYSCALL && context.gpr[RAX] == 0);
    CHECK(run(space, &context, selftest_vector_set, 222) == USER_SYSCALL);
    fpu_switch(&b, &a);
    CHECK(run(space, &context, selftest_vector_get, 0) == USER_SYSCALL && context.gpr[RAX] == 111);
    fpu_switch(&a, &b);
    CHECK(run(space, &context, selftest_vector_get, 0) == USER_SYSCALL && context.gpr[RAX] == 222);
    CHECK(fpu_host_xcr0() == 0 ||
          (fpu_set_xcr0(&b, fpu_host_xcr0()) && !fpu_set_xcr0(&b, 0) && xgetbv() == fpu_host_xcr0()));
    fpu_switch(&b, NULL);
    fpu_state_free(&a);
    fpu_state_free(&b);
}

static void test_ring3(void)
{
    struct user_space space;
    struct frame_counts before, after;

    frames_counts(&before);
    CHECK(user_space_create(&space));
    CHECK(user_map(&space, CODE, 1, USER_READ | USER_EXEC) &&
          user_map(&space, DATA, 2, USER_READ | USER_WRITE));
    CHECK(user_map(&space, STACK, 1, USER_READ | USER_WRITE));
    CHECK(user_poke(&space, CODE, selftest_user, (size_t)(selftest_user_end - selftest_user)));
    CHECK(!user_map(&space, 0, 1, USER_READ) && !user_map(&space, USER_TOP, 1, USER_READ));
    test_ring3_calls(&space);
    measure_ring3(&space);
    test_fpu(&space);
    test_ring3_faults(&space);
    user_space_destroy(&space);
    frames_counts(&after);
    CHECK(space.pages == 0 && before.free == after.free);
}

/* Sends back what comes over the serial line, up to and including the first EOT. */
static _Noreturn void echo(void)
{
    uint8_t bytes[64];
    uint64_t total = 0;
    size_t n = 0;

    log_line("self-test: echo");
    do {
        while (!serial_rx_pending()) cpu_idle();
        n = serial_rx(bytes, sizeof bytes);
        serial_tx_frame(bytes, n);
        total += n;
    } while (n == 0 || bytes[n - 1] != '\x04');
    log_line("self-test: %lu bytes, %lu lost", total, serial_rx_dropped());
    machine_leave(0);
}

static _Noreturn void panic_test(const char *how)
{
    event_emit(TITHE_EVENT_RESERVE, 0, 0, 0, "none: a panic is to show this");
    if (strcmp(how, "fault") == 0) (void)*(volatile uint64_t *)(uintptr_t)boot_stacks;
    if (strcmp(how, "stack") == 0) {
        /* Overflow of the stack, into its guard page: only an interrupt stack survives that. */
        __asm__ volatile("lea boot_stacks + 4096 + 64, %rsp\n 1: push %rax\n jmp 1b");
    }
    if (strcmp(how, "smp") == 0 || strcmp(how, "one") == 0) selftest_smp_panic(strcmp(how, "smp") == 0);
    panic("a test");
}

void selftest(void)
{
    char how[8];

    if (boot_option("panic-test", how, sizeof how)) panic_test(how);
    if (!boot_option("self-test", how, sizeof how)) return;
    if (strcmp(how, "echo") == 0) echo();
    if (strcmp(how, "smp") == 0) {
        selftest_smp();
        CHECK(selftest_kicks() == 0);
    }
    test_tables();
    test_timer();
    test_ring3();
    log_line("self-test: %s, %u failures", failures == 0 ? "passed" : "FAILED", failures);
    machine_leave(failures == 0 ? 0 : 1);
}
#endif
