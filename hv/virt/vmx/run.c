/* SPDX-License-Identifier: MIT
 *
 * One entry and one exit. Reads of the VMCS are what an exit costs: each kind reads only what it needs.
 */
#include "virt/vmx/vmx.h"

#include "vm/vm.h"
#include "x86/irq.h"
#include "x86/msr.h"
#include "x86/percpu.h"

uint32_t vmx_enter(uint64_t gpr[GPR_COUNT]);

/* VM-instruction errors that an entry can meet (SDM 3C 31.4). */
static const char *instruction_error(uint32_t number)
{
    switch (number) {
    case 4: return "VMLAUNCH of a VMCS that is not clear";
    case 5: return "VMRESUME of a VMCS that was never launched";
    case 7: return "VM entry with invalid control fields";
    case 8: return "VM entry with invalid host state";
    case 26: return "VM entry blocked by MOV SS";
    default: return "VM entry failed for an unexpected reason";
    }
}

#define CONTEXT 1ul /* type of INVEPT and INVVPID: single-context */

#define VPID_INVVPID         (1ull << 32) /* IA32_VMX_EPT_VPID_CAP */
#define VPID_INVVPID_CONTEXT (1ull << 41)

/* With EPT the TLB holds guest-physical mappings, tagged with the EPT pointer, and combined ones, tagged with that and
 * the VPID (SDM 3C 29.4.1). INVEPT drops both kinds for the EPT pointer, whatever the VPID (29.4.3.1): once per VM, CPU and
 * generation. A new VM has flushed nowhere yet, so what a dead one left under the same root frame goes, too.
 * INVVPID drops what is combined for this vCPU only, and is all that its own changes of paging or of the CPU need. */
static void flush(struct vcpu *v, uint64_t generation)
{
    uint64_t *flushed = &v->vm->flushed[this_cpu()->index];
    const uint64_t can = VPID_INVVPID | VPID_INVVPID_CONTEXT;
    struct {
        uint64_t first, zero;
    } which = {0, 0};

    if (*flushed != generation || (v->tlb.seen == 0 && (vmx_caps.ept_vpid & can) != can)) {
        which.first = vmread(EPT_POINTER);
        __asm__ volatile("invept %0, %1" : : "m"(which), "r"(CONTEXT) : "cc", "memory");
        *flushed = generation;
    } else if (v->tlb.seen == 0) {
        which.first = vmread(VPID);
        __asm__ volatile("invvpid %0, %1" : : "m"(which), "r"(CONTEXT) : "cc", "memory");
    }
}

/* What the emulation of an instruction changes besides its result. */
static void finish_instruction(struct vcpu *v)
{
    uint64_t blocking = vmread(GUEST_BLOCKING);
    v->clear_shadow = false;
    if (blocking & (BLOCKING_STI | BLOCKING_MOV_SS))
        vmwrite(GUEST_BLOCKING, blocking & ~(uint64_t)(BLOCKING_STI | BLOCKING_MOV_SS));
    if (v->regs.rflags & RFLAGS_TF) vmwrite(GUEST_PENDING_DEBUG, PENDING_DEBUG_BS);
}

static void fault_exit(struct vcpu *v)
{
    struct exit *e = &v->exit;
    uint64_t why = vmread(EXIT_QUALIFICATION);
    uint32_t idt_event = (uint32_t)vmread(IDT_EVENT);

    e->kind = EXIT_FAULT;
    e->insn_bytes = 0;
    e->u.fault.gpa = vmread(GUEST_PHYSICAL);
    e->u.fault.write = (why >> 1) & 1;
    e->u.fault.exec = (why >> 2) & 1;
    e->u.fault.walk = ((why >> 7) & 3) == 1; /* linear address valid, but not the access to it */
    if (idt_event & EVENT_VALID) {
        vmx_keep_event(v, idt_event);
    } else if ((why >> 12) &
               1) { /* IRET faulted after it had unblocked NMIs: it runs again (SDM 3C 28.2.3) */
        vmwrite(GUEST_BLOCKING, vmread(GUEST_BLOCKING) | BLOCKING_NMI);
    }
}

static void io_exit(struct exit *e)
{
    uint64_t why = vmread(EXIT_QUALIFICATION);
    e->kind = EXIT_PIO;
    e->u.pio.port = (uint16_t)(why >> 16);
    e->u.pio.bytes = (uint8_t)((why & 7) + 1);
    e->u.pio.in = (why >> 3) & 1;
    e->u.pio.string = (why >> 4) & 1;
}

static void exit(struct vcpu *v, uint32_t reason)
{
    struct exit *e = &v->exit;
    switch (reason) {
    case REASON_CPUID: e->kind = EXIT_CPUID; break;
    case REASON_HLT: e->kind = EXIT_HLT; break;
    case REASON_RDMSR: e->kind = EXIT_MSR_READ; break;
    case REASON_WRMSR: e->kind = EXIT_MSR_WRITE; break;
    case REASON_VMCALL: e->kind = EXIT_HYPERCALL; break;
    case REASON_IO: io_exit(e); break;
    case REASON_EPT_VIOLATION: fault_exit(v); return;
    case REASON_EXT_INTERRUPT:
        e->kind = EXIT_INTERRUPT;
        vmx_reload_timer(v);
        irq_dispatch((uint8_t)vmread(EXIT_EVENT));
        return;
    case REASON_INTERRUPT_WINDOW:
        e->kind = EXIT_WINDOW;
        v->window_wanted = false;
        vmx_set_controls(v->hw, 0, CPU_INTERRUPT_WINDOW);
        return;
    default: vmx_exit_other(v, reason); return;
    }
    e->insn_bytes = (uint32_t)vmread(EXIT_INSN_BYTES);
}

void vmx_run(struct vcpu *v)
{
    struct vmx_vcpu *h = v->hw;

    if (this_cpu()->live_vcpu != v) vmx_make_current(v);
    if (v->clear_shadow) finish_instruction(v);
    if (h->deliver && !vmx_deliver(v)) {
        v->exit.kind = EXIT_TRIPLE_FAULT;
        return;
    }
    if (v->window_wanted) vmx_set_controls(h, CPU_INTERRUPT_WINDOW, 0);
    vmwrite(GUEST_RIP, v->regs.rip); /* hardly ever what it was */
    if (v->regs.gpr[RSP] != h->rsp) vmwrite(GUEST_RSP, v->regs.gpr[RSP]);
    if (v->regs.rflags != h->rflags) vmwrite(GUEST_RFLAGS, v->regs.rflags);

    /* Nothing that can fail is between these. A kick that comes from here on waits, with interrupts off, and ends the guest's
     * turn right after the entry (SDM 3C 26.2). */
    uint64_t generation = tlb_enter(&v->tlb, &v->vm->tlb_generation);
    if (v->tlb.seen != generation) {
        flush(v, generation);
        tlb_entered(&v->tlb, generation);
    }
    uint32_t error = vmx_enter(v->regs.gpr);
    tlb_left(&v->tlb);
    if (error != 0) {
        v->exit.kind = EXIT_BAD_STATE;
        v->exit.why = instruction_error(error);
        return;
    }
    v->regs.rip = vmread(GUEST_RIP);
    v->regs.gpr[RSP] = h->rsp = vmread(GUEST_RSP);
    v->regs.rflags = h->rflags = vmread(GUEST_RFLAGS);
    exit(v, (uint32_t)vmread(EXIT_REASON));
}
