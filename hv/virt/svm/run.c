/* SPDX-License-Identifier: MIT
 *
 * One entry and one exit.
 */
#include "virt/svm/svm.h"

#include "vm/interpret.h"
#include "vm/vm.h"
#include "x86/msr.h"
#include "x86/percpu.h"

void svm_enter(uint64_t gpr[GPR_COUNT], hpa_t vmcb, hpa_t host_vmcb);

uint32_t svm_insn_bytes(const struct vmcb *c, uint32_t usual)
{
    return svm_caps.nrip ? (uint32_t)(c->nrip - c->rip) : usual;
}

static void fault_exit(struct exit *e, struct svm_vcpu *h, const struct vmcb *c)
{
    svm_keep_event(h, c);
    e->kind = EXIT_FAULT;
    e->insn_bytes = 0;
    e->u.fault.gpa = c->exit_info2; /* APM 2 15.25.6 */
    e->u.fault.write = (c->exit_info1 >> 1) & 1;
    e->u.fault.exec = (c->exit_info1 >> 4) & 1;
    e->u.fault.walk = (c->exit_info1 >> 33) & 1;
}

static void io_exit(struct exit *e, const struct vmcb *c)
{
    uint64_t info = c->exit_info1; /* APM 2 15.10.2 */
    e->kind = EXIT_PIO;
    e->insn_bytes = (uint32_t)(c->exit_info2 - c->rip);
    e->u.pio.port = (uint16_t)(info >> 16);
    e->u.pio.bytes = (uint8_t)((info >> 4) & 7);
    e->u.pio.in = info & 1;
    e->u.pio.string = (info >> 2) & 1;
}

static void instruction(struct exit *e, const struct vmcb *c, enum exit_kind kind, uint32_t usual_bytes)
{
    e->kind = kind;
    e->insn_bytes = svm_insn_bytes(c, usual_bytes);
}

/* QEMU's VMRUN forgets the interrupt shadow (APM 2 15.20.5 has it loaded). A guest's interrupt would come between
 * its STI and HLT, and the guest sleep on what was to wake it: an HLT in the shadow is carried out at once. */
static bool halts_next(struct vcpu *v)
{
    uint8_t bytes[INSN_BYTES_MAX];
    return interpret_bytes(v, bytes) > 0 && bytes[0] == 0xf4;
}

static void exit(struct vcpu *v, struct svm_vcpu *h, struct vmcb *c)
{
    struct exit *e = &v->exit;
    if (c->exit_code == SVM_EXIT_NPF) {
        fault_exit(e, h, c);
        return;
    }
    switch (c->exit_code) {
    case SVM_EXIT_CPUID: instruction(e, c, EXIT_CPUID, 2); break;
    case SVM_EXIT_IOIO: io_exit(e, c); break;
    case SVM_EXIT_HLT: instruction(e, c, EXIT_HLT, 1); break;
    case SVM_EXIT_MSR: instruction(e, c, c->exit_info1 & 1 ? EXIT_MSR_WRITE : EXIT_MSR_READ, 2); break;
    case SVM_EXIT_VMMCALL: instruction(e, c, EXIT_HYPERCALL, 3); break;
    case SVM_EXIT_INTR:
        svm_keep_event(h, c); /* one that was to be injected may have been overtaken */
        /* Still pending: it comes through the host's IDT as soon as it may. */
        __asm__ volatile("sti; nop; cli" : : : "memory");
        e->kind = EXIT_INTERRUPT;
        if ((c->shadow & 1) != 0 && halts_next(v)) {
            e->kind = EXIT_HLT;
            e->insn_bytes = 1;
        }
        break;
    case SVM_EXIT_VINTR:
        svm_keep_event(h, c);
        c->v_irq = 0;
        c->intercept1 &= ~INTERCEPT_VINTR;
        v->window_wanted = false;
        e->kind = EXIT_WINDOW;
        break;
    default: svm_exit_other(v); break;
    }
}

/* A virtual interrupt that would be delivered as soon as the guest can take one, caught at that moment. */
static void open_window(struct vmcb *c)
{
    c->v_irq = V_IRQ;
    c->v_prio = V_PRIO | V_IGN_TPR;
    c->intercept1 |= INTERCEPT_VINTR;
}

/* What the emulation of an instruction changes besides its result. */
static void finish_instruction(struct vcpu *v, struct vmcb *c)
{
    v->clear_shadow = false;
    c->shadow &= ~1ull;
    if (v->regs.rflags & RFLAGS_TF) {
        c->dr6 |= 1u << 14; /* BS */
        svm_inject_exception(v, VECTOR_DB, false, 0);
    }
}

void svm_run(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    struct vmcb *c = h->vmcb;

    if (v->clear_shadow) finish_instruction(v, c);
    if (h->deliver && !svm_deliver(v)) {
        v->exit.kind = EXIT_TRIPLE_FAULT;
        return;
    }
    /* From here on VMRUN is certain: a new ASID may owe a flush that only VMRUN does. */
    if (this_cpu()->live_vcpu != v) svm_make_current(v);
    if (v->window_wanted) open_window(c);
    uint8_t tpr = (uint8_t)(v->lapic.tpr >> 4);
    c->v_tpr = tpr;
    c->rax = v->regs.gpr[RAX];
    c->rsp = v->regs.gpr[RSP];
    c->rip = v->regs.rip;
    c->rflags = v->regs.rflags;

    /* Nothing that can fail is between these. A kick that comes from here on waits, with interrupts off and then the global interrupt
     * flag clear, and ends the guest's turn right after VMRUN (APM 2 15.13.1, 15.17). */
    uint64_t generation = tlb_enter(&v->tlb, &v->vm->tlb_generation);
    if (v->tlb.seen != generation) {
        svm_flush(h);
        tlb_entered(&v->tlb, generation);
    }
    svm_enter(v->regs.gpr, h->vmcb_hpa, h->host_vmcb);
    tlb_left(&v->tlb);

    c->tlb_control = TLB_CONTROL_NOTHING;
    c->event_inj = 0;
    v->regs.gpr[RAX] = c->rax;
    v->regs.gpr[RSP] = c->rsp;
    v->regs.rip = c->rip;
    v->regs.rflags = c->rflags;
    if (c->v_tpr !=
        tpr) { /* MOV to CR8. Others only read it, to choose among vCPUs: one aligned word needs no lock */
        v->lapic.tpr = (c->v_tpr & 15u) << 4;
        v->irq_check = true;
    }
    exit(v, h, c);
}
