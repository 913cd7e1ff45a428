/* SPDX-License-Identifier: MIT
 *
 * What becomes of a vCPU whose instruction cannot be emulated: the code may have been changed since the exit. The interpreter
 * is played by the test; it answers what `next` says.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/log.h"
#include "vm/emulate.h"
#include "vm/interpret.h"
#include "vm/vm.h"
#include "x86/time.h"

#define HERE  0x8000u
#define THERE 0x9000u

static enum interpret_result next;
static unsigned crashes, waits;
static struct vm vm;
static struct vcpu vcpu;

enum interpret_result interpret_mmio(struct vcpu *v, const struct mmio_ops *ops)
{
    (void)v, (void)ops;
    return next;
}

enum interpret_result interpret_string_pio(struct vcpu *v, const struct pio_ops *ops)
{
    (void)v, (void)ops;
    return next;
}

size_t interpret_bytes(struct vcpu *v, uint8_t out[INSN_BYTES_MAX])
{
    (void)v, (void)out;
    return 0;
}

void vm_crash(struct vcpu *v, const char *why)
{
    (void)v, (void)why;
    crashes++;
}

void vcpu_wait(struct vcpu *v, enum vcpu_state state, uint64_t seen)
{
    (void)v, (void)state, (void)seen;
    waits++;
}

uint64_t swap_completions(void)
{
    return 0;
}

void log_line(const char *fmt, ...)
{
    (void)fmt;
}

/* The devices are not reached. */
void lock_acquire(struct lock *lock)
{
    (void)lock;
}
void lock_release(struct lock *lock)
{
    (void)lock;
}
void timer_set(struct timer *timer, uint64_t deadline_ns)
{
    (void)timer, (void)deadline_ns;
}
uint64_t time_now_ns(void)
{
    return 0;
}
bool platform_mmio_read(struct platform *p, uint32_t index, gpa_t gpa, unsigned bytes, uint64_t *value,
                        uint64_t now_ns)
{
    (void)p, (void)index, (void)gpa, (void)bytes, (void)value, (void)now_ns;
    return false;
}
bool platform_mmio_write(struct platform *p, uint32_t index, gpa_t gpa, unsigned bytes, uint64_t value,
                         uint64_t now_ns)
{
    (void)p, (void)index, (void)gpa, (void)bytes, (void)value, (void)now_ns;
    return false;
}
uint32_t platform_in(struct platform *p, uint16_t port, unsigned bytes, uint64_t now_ns)
{
    (void)p, (void)port, (void)bytes, (void)now_ns;
    return 0;
}
void platform_out(struct platform *p, uint16_t port, unsigned bytes, uint32_t value, uint64_t now_ns)
{
    (void)p, (void)port, (void)bytes, (void)value, (void)now_ns;
}

bool platform_has_work(const struct platform *p)
{
    (void)p;
    return false;
}

static void machine(uint32_t vcpus)
{
    vm = (struct vm){.vcpu_count = vcpus};
    vcpu = (struct vcpu){.vm = &vm};
    crashes = waits = 0;
}

/* The vCPU exits at `rip`, and the interpreter says `result`. */
static void exits(uint64_t rip, enum interpret_result result)
{
    vcpu.regs.rip = rip;
    next = result;
    emulate_mmio(&vcpu);
}

static void who_is_alone_ends_at_once(void **state)
{
    (void)state;
    machine(1);
    exits(HERE, INTERPRET_UNSUPPORTED);
    assert_int_equal(crashes, 1);
}

static void of_several_one_comes_back_once(void **state)
{
    (void)state;
    machine(2);
    exits(HERE, INTERPRET_UNSUPPORTED);
    assert_int_equal(crashes, 0);
    exits(HERE, INTERPRET_NO_MEMORY); /* says nothing about the instruction */
    assert_int_equal(waits, 1);
    exits(HERE, INTERPRET_UNSUPPORTED);
    assert_int_equal(crashes, 1);

    machine(2);
    next = INTERPRET_UNSUPPORTED;
    vcpu.regs.rip = HERE;
    emulate_string_pio(&vcpu);
    assert_int_equal(crashes, 0);
    emulate_string_pio(&vcpu);
    assert_int_equal(crashes, 1);
}

static void every_race_counts_anew(void **state)
{
    (void)state;
    machine(2);
    for (int n = 0; n < 3; n++) {
        exits(HERE, INTERPRET_UNSUPPORTED);
        exits(HERE, n == 1 ? INTERPRET_FAULT : INTERPRET_OK);
    }
    exits(THERE, INTERPRET_UNSUPPORTED);
    exits(HERE, INTERPRET_UNSUPPORTED);
    assert_int_equal(crashes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_alone_ends_at_once),
        cmocka_unit_test(of_several_one_comes_back_once),
        cmocka_unit_test(every_race_counts_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
