/* SPDX-License-Identifier: MIT
 *
 * Events into the guest (SDM 3C 27.6).
 */
#include "virt/vmx/vmx.h"

#include "x86/msr.h"

void vmx_set_controls(struct vmx_vcpu *h, uint32_t set, uint32_t clear)
{
    uint32_t controls = (h->cpu_controls | set) & ~clear;
    if (controls == h->cpu_controls) return;
    vmwrite(CPU_CONTROLS, controls);
    h->cpu_controls = controls;
}

void vmx_reload_timer(const struct vcpu *v)
{
    if (vmx_caps.timer == 0) return;
    vmwrite(PREEMPTION_TIMER, v->regs.rflags & RFLAGS_IF ? vmx_caps.timer * 20 : vmx_caps.timer);
}

/* A waiting NMI goes first, but while NMIs are blocked interrupts need not wait with it: their IRET may be what unblocks it.
 * On Bochs 2.7 even a vCPU outside any NMI handler is blocked at times, because another left the CPU inside one: an entry blocks NMIs
 * and never unblocks them. */
bool vmx_can_inject(struct vcpu *v)
{
    struct vmx_vcpu *h = v->hw;
    if (h->entry_event != 0 || !(v->regs.rflags & RFLAGS_IF)) return false;
    if (v->clear_shadow && !h->nmi_waiting) return true;
    vmx_make_current(v);
    uint64_t blocking = vmread(GUEST_BLOCKING);
    if (h->nmi_waiting && !(blocking & BLOCKING_NMI)) return false;
    return v->clear_shadow || (blocking & (BLOCKING_STI | BLOCKING_MOV_SS)) == 0;
}

void vmx_inject_interrupt(struct vcpu *v, uint8_t vector)
{
    struct vmx_vcpu *h = v->hw;
    h->entry_event = EVENT_VALID | EVENT_INTERRUPT | vector;
    h->deliver = true;
}

void vmx_inject_exception(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
    struct vmx_vcpu *h = v->hw;
    vmx_make_current(v);
    /* Real mode pushes no error codes (SDM 3C 27.2.1.3). */
    if (has_error && !(vmread(GUEST_CR0) & CR0_PE)) has_error = false;
    uint32_t event = EVENT_VALID | EVENT_EXCEPTION | (has_error ? EVENT_HAS_ERROR : 0) | vector;
    h->entry_event = event_combine(h->entry_event, event);
    h->entry_error = h->entry_event == event ? error : 0;
    h->deliver = true;
}

void vmx_inject_nmi(struct vcpu *v)
{
    struct vmx_vcpu *h = v->hw;
    h->nmi_waiting = true;
    h->deliver = true;
}

bool vmx_nmi_waiting(const struct vcpu *v)
{
    const struct vmx_vcpu *h = v->hw;
    return h->nmi_waiting;
}

void vmx_keep_event(struct vcpu *v, uint32_t idt_event)
{
    struct vmx_vcpu *h = v->hw;
    switch (idt_event & EVENT_TYPE) {
    case EVENT_INTERRUPT: break;
    case EVENT_EXCEPTION: break;
    case EVENT_NMI:
        /* Blocked since its delivery began; it may not be injected again while it is (SDM 3C 27.3.1.5). */
        vmwrite(GUEST_BLOCKING, vmread(GUEST_BLOCKING) & ~(uint64_t)BLOCKING_NMI);
        break;
    default:
        /* INT n, INT3, INTO: RIP is still at the instruction, which simply runs again. */
        return;
    }
    h->entry_event = idt_event & (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | EVENT_VECTOR);
    h->deliver = true;
    if (idt_event & EVENT_HAS_ERROR) h->entry_error = (uint32_t)vmread(IDT_EVENT_ERROR);
}

static void deliver_nmi(struct vmx_vcpu *h)
{
    uint64_t blocking = vmread(GUEST_BLOCKING);
    if (h->entry_event != 0 || (blocking & (BLOCKING_NMI | BLOCKING_MOV_SS | BLOCKING_STI)) != 0) {
        vmx_set_controls(h, CPU_NMI_WINDOW, 0);
        return;
    }
    h->nmi_waiting = false;
    h->entry_event = EVENT_VALID | EVENT_NMI | VECTOR_NMI;
}

bool vmx_deliver(struct vcpu *v)
{
    struct vmx_vcpu *h = v->hw;
    if (h->nmi_waiting) deliver_nmi(h);
    h->deliver = h->nmi_waiting;
    if (h->entry_event == 0) return true;
    if (h->entry_event == EVENT_TRIPLE_FAULT) return false;
    vmwrite(ENTRY_EVENT, h->entry_event);
    if (h->entry_event & EVENT_HAS_ERROR) vmwrite(ENTRY_EVENT_ERROR, h->entry_error);
    h->entry_event = 0; /* the CPU clears the field's valid bit at the next exit */
    return true;
}
