/* SPDX-License-Identifier: MIT */
#include "vm/emulate.h"

#include "lib/log.h"
#include "vm/interpret.h"
#include "vm/vm.h"
#include "x86/time.h"

/* ---- the platform's two doors ---- */

static uint64_t mmio_read(struct vcpu *v, gpa_t gpa, unsigned bytes)
{
    struct platform *p = &v->vm->platform;
    uint64_t value;
    lock_acquire(&p->lock);
    (void)platform_mmio_read(p, v->index, gpa, bytes, &value, time_now_ns()); /* all ones where nobody is */
    lock_release(&p->lock);
    return value;
}

/* A write may start a timer, or leave a device with work to go on with. */
static void reconsider(struct vm *vm)
{
    const uint64_t next_ns = platform_has_work(&vm->platform) ? 0 : vm->platform.pit.next_ns;
    if (next_ns < vm->poll_timer.deadline_ns) {
        timer_set(&vm->poll_timer, next_ns);
    }
}

static void mmio_write(struct vcpu *v, gpa_t gpa, unsigned bytes, uint64_t value)
{
    struct platform *p = &v->vm->platform;
    lock_acquire(&p->lock);
    (void)platform_mmio_write(p, v->index, gpa, bytes, value, time_now_ns());
    reconsider(v->vm);
    lock_release(&p->lock);
}

static uint32_t cut(uint32_t value, unsigned bytes)
{
    return bytes == 4 ? value : value & ((1u << (8 * bytes)) - 1);
}

uint32_t port_in(struct vcpu *v, uint16_t port, unsigned bytes)
{
    struct platform *p = &v->vm->platform;
    lock_acquire(&p->lock);
    uint32_t value = cut(platform_in(p, port, bytes, time_now_ns()), bytes);
    lock_release(&p->lock);
    return value;
}

void port_out(struct vcpu *v, uint16_t port, unsigned bytes, uint32_t value)
{
    struct platform *p = &v->vm->platform;
    lock_acquire(&p->lock);
    platform_out(p, port, bytes, cut(value, bytes), time_now_ns());
    reconsider(v->vm);
    lock_release(&p->lock);
}

/* ---- outcomes ---- */

static void unsupported(struct vcpu *v, const char *what)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[INSN_BYTES_MAX];
    char text[3 * INSN_BYTES_MAX + 1];
    size_t count = interpret_bytes(v, bytes), at = 0;

    for (size_t i = 0; i < count; i++) {
        text[at++] = ' ';
        text[at++] = hex[bytes[i] >> 4];
        text[at++] = hex[bytes[i] & 15];
    }
    text[at] = '\0';
    log_line("%s/%u: no emulation of%s at 0x%lx", v->vm->name, v->index, text, v->regs.rip);
    vm_crash(v, what);
}

/* Since the exit another vCPU may have written over the instruction, or over the tables it is fetched by. So the guest goes
 * there once more, and what it then does is by what is there now. */
static bool once_more(struct vcpu *v)
{
    const bool again = v->vm->vcpu_count > 1 && v->retried_rip != v->regs.rip;
    v->retried_rip = v->regs.rip;
    return again;
}

static void outcome(struct vcpu *v, enum interpret_result result, const char *what, uint64_t seen)
{
    switch (result) {
    case INTERPRET_OK:
    case INTERPRET_FAULT: v->retried_rip = 0; return;
    case INTERPRET_NO_MEMORY: vcpu_wait_page(v, seen); return;
    case INTERPRET_UNSUPPORTED:
        if (!once_more(v)) {
            unsupported(v, what);
        }
        return;
    }
}

void emulate_mmio(struct vcpu *v)
{
    static const struct mmio_ops ops = {.read = mmio_read, .write = mmio_write};
    const uint64_t seen = vm_steady(v->vm);
    const enum interpret_result result = interpret_mmio(v, &ops);
    vm_unsteady(v->vm);
    outcome(v, result, "an access to device memory that the core does not emulate", seen);
}

void emulate_string_pio(struct vcpu *v)
{
    static const struct pio_ops ops = {.in = port_in, .out = port_out};
    const uint64_t seen = vm_steady(v->vm);
    const enum interpret_result result = interpret_string_pio(v, &ops);
    vm_unsteady(v->vm);
    outcome(v, result, "string I/O that the core does not emulate", seen);
}
