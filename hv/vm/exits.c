/* SPDX-License-Identifier: MIT
 *
 * The exit dispatch table. Kinds that only one vendor knows were finished inside virt/.
 */
#include "vm/exits.h"

#include "lib/log.h"
#include "virt/vendor.h"
#include "vm/emulate.h"
#include "vm/guest_cpuid.h"
#include "vm/guest_msr.h"
#include "vm/kvmclock.h"
#include "vm/vm.h"
#include "x86/percpu.h"
#include "x86/time.h"

#define VECTOR_GP        13u
/* What KVM answers to a hypercall it does not know (Linux include/uapi/linux/kvm_para.h: KVM_ENOSYS). */
#define HYPERCALL_ENOSYS ((uint64_t)-1000)

static void exit_none(struct vcpu *v)
{
    (void)v;
}

/* The interrupt's handler has run; what it changed is for the CPU's loop to see. */
static void exit_interrupt(struct vcpu *v)
{
    (void)v;
    this_cpu()->resched = true;
}

static void exit_window(struct vcpu *v)
{
    v->irq_check = true;
}

static void cpuid_result(struct vcpu *v, const uint32_t row[4])
{
    v->regs.gpr[RAX] = row[0];
    v->regs.gpr[RBX] = row[1];
    v->regs.gpr[RCX] = row[2];
    v->regs.gpr[RDX] = row[3];
    vcpu_skip(v);
}

__attribute__((noinline)) static void cpuid_other(struct vcpu *v)
{
    uint32_t scratch[4];
    cpuid_result(v, guest_cpuid(v, (uint32_t)v->regs.gpr[RAX], (uint32_t)v->regs.gpr[RCX], scratch));
}

static void exit_cpuid(struct vcpu *v)
{
    const uint32_t *row = guest_cpuid_plain(&v->vm->cpuid, (uint32_t)v->regs.gpr[RAX]);
    if (row == NULL) {
        cpuid_other(v);
    } else {
        cpuid_result(v, row);
    }
}

static void exit_hlt(struct vcpu *v)
{
    vcpu_skip(v);
    vcpu_halt(v);
}

static void exit_pio(struct vcpu *v)
{
    const uint16_t port = v->exit.u.pio.port;
    const unsigned bytes = v->exit.u.pio.bytes;

    if (v->exit.u.pio.string) {
        emulate_string_pio(v);
        return;
    }
    if (v->exit.u.pio.in) {
        /* A 32-bit result clears the upper half of RAX, a smaller one leaves the rest alone. */
        const uint64_t keep = bytes == 4 ? 0 : ~0ull << (bytes * 8);
        v->regs.gpr[RAX] = (v->regs.gpr[RAX] & keep) | port_in(v, port, bytes);
    } else {
        port_out(v, port, bytes, (uint32_t)v->regs.gpr[RAX]);
    }
    vcpu_skip(v);
}

static void exit_msr_read(struct vcpu *v)
{
    uint64_t value;
    if (!guest_rdmsr(v, (uint32_t)v->regs.gpr[RCX], &value)) {
        vendor->inject_exception(v, VECTOR_GP, true, 0);
        return;
    }
    v->regs.gpr[RAX] = (uint32_t)value;
    v->regs.gpr[RDX] = value >> 32;
    vcpu_skip(v);
}

static void exit_msr_write(struct vcpu *v)
{
    const uint64_t value = (uint32_t)v->regs.gpr[RAX] | v->regs.gpr[RDX] << 32;
    const uint32_t msr = (uint32_t)v->regs.gpr[RCX];
    const gpa_t clock = kvmclock_written(v, msr, value);
    const bool writes = clock != KVMCLOCK_NOWHERE;
    const uint64_t seen = writes ? vm_steady(v->vm) : 0;
    const bool ready = !writes || vm_touch(v->vm, clock, sizeof(struct pvclock_time));
    const bool good = ready && guest_wrmsr(v, msr, value);
    if (writes) {
        vm_unsteady(v->vm);
    }
    if (!ready) {
        vcpu_wait_page(v, seen);
        return;
    }
    if (!good) {
        vendor->inject_exception(v, VECTOR_GP, true, 0);
        return;
    }
    vcpu_skip(v);
    v->irq_check = true; /* an EOI, a TPR or a self-IPI may be among them */
}

/* First touch, a write to a shared page, or a device. The instruction runs again by itself once its page is there. What a CPU
 * does to the guest's own page tables as it walks them comes as writes (SDM 3C 28.3.3.2, APM 2 15.25.5). */
static void exit_fault(struct vcpu *v)
{
    const uint64_t seen = swap_completions();
    switch (p2m_touch(&v->vm->p2m, v->exit.u.fault.gpa >> PAGE_SHIFT, v->exit.u.fault.write)) {
    case P2M_TOUCH_OK: return;
    case P2M_TOUCH_NO_MEMORY: vcpu_wait(v, VCPU_WAIT_MEMORY, seen); return;
    case P2M_TOUCH_WAIT: vcpu_wait(v, VCPU_WAIT_IO, seen); return;
    case P2M_TOUCH_HOLE: break;
    }
    emulate_mmio(v);
    v->irq_check = true;
}

static void exit_hypercall(struct vcpu *v)
{
    v->regs.gpr[RAX] = HYPERCALL_ENOSYS;
    vcpu_skip(v);
}

static void exit_triple_fault(struct vcpu *v)
{
    vm_crash(v, "triple fault");
}

static void exit_fatal(struct vcpu *v)
{
    vendor->dump(v);
    vm_crash(v, v->exit.why != NULL ? v->exit.why : "an exit of unknown kind");
}

static void (*const handlers[EXIT_KINDS])(struct vcpu *) = {
    [EXIT_NONE] = exit_none,
    [EXIT_INTERRUPT] = exit_interrupt,
    [EXIT_WINDOW] = exit_window,
    [EXIT_CPUID] = exit_cpuid,
    [EXIT_HLT] = exit_hlt,
    [EXIT_PIO] = exit_pio,
    [EXIT_MSR_READ] = exit_msr_read,
    [EXIT_MSR_WRITE] = exit_msr_write,
    [EXIT_FAULT] = exit_fault,
    [EXIT_HYPERCALL] = exit_hypercall,
    [EXIT_TRIPLE_FAULT] = exit_triple_fault,
    [EXIT_UNSUPPORTED] = exit_fatal,
    [EXIT_BAD_STATE] = exit_fatal,
};

void exit_handle(struct vcpu *v)
{
    v->exits[v->exit.kind]++;
    handlers[v->exit.kind](v);
}

const char *exit_name(enum exit_kind kind)
{
    static const char *const names[EXIT_KINDS] = {
        [EXIT_NONE] = "vendor",
        [EXIT_INTERRUPT] = "interrupt",
        [EXIT_WINDOW] = "window",
        [EXIT_CPUID] = "cpuid",
        [EXIT_HLT] = "hlt",
        [EXIT_PIO] = "pio",
        [EXIT_MSR_READ] = "rdmsr",
        [EXIT_MSR_WRITE] = "wrmsr",
        [EXIT_FAULT] = "fault",
        [EXIT_HYPERCALL] = "hypercall",
        [EXIT_TRIPLE_FAULT] = "triple_fault",
        [EXIT_UNSUPPORTED] = "unsupported",
        [EXIT_BAD_STATE] = "bad_state",
    };
    return names[kind];
}
