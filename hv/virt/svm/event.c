/* SPDX-License-Identifier: MIT
 *
 * Events into the guest (APM 2 15.20, 15.21).
 */
#include "virt/svm/svm.h"

#include "x86/msr.h"

#define SHADOW_ACTIVE 1u

/* A waiting NMI goes first, but while NMIs are blocked interrupts need not wait with it: their IRET may be what unblocks it. */
bool svm_can_inject(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    return h->event == 0 && (!h->nmi_waiting || h->nmi_blocked) && (v->regs.rflags & RFLAGS_IF) &&
           (v->clear_shadow || !(h->vmcb->shadow & SHADOW_ACTIVE));
}

void svm_inject_interrupt(struct vcpu *v, uint8_t vector)
{
    struct svm_vcpu *h = v->hw;
    h->event = EVENT_VALID | EVENT_INTERRUPT | vector;
    h->deliver = true;
}

void svm_inject_exception(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error)
{
    struct svm_vcpu *h = v->hw;
    if (has_error && !(h->vmcb->cr0 & CR0_PE)) has_error = false; /* real mode pushes none */
    uint32_t event = EVENT_VALID | EVENT_EXCEPTION | (has_error ? EVENT_HAS_ERROR : 0) | vector;
    h->event = event_combine(h->event, event);
    h->event_error = h->event == event ? error : 0;
    h->deliver = true;
}

void svm_inject_nmi(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    h->nmi_waiting = true;
    h->deliver = true;
}

bool svm_nmi_waiting(const struct vcpu *v)
{
    const struct svm_vcpu *h = v->hw;
    return h->nmi_waiting;
}

void svm_keep_event(struct svm_vcpu *h, const struct vmcb *c)
{
    uint64_t info = c->exit_int_info;
    if (!(info & EVENT_VALID)) return;
    uint32_t event = (uint32_t)info & (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | EVENT_VECTOR);
    uint32_t type = event & EVENT_TYPE, vector = event & EVENT_VECTOR;

    /* INT n, INT3, INTO: RIP is still at the instruction, which simply runs again. */
    if (type == EVENT_SOFT_INTERRUPT) return;
    if (type == EVENT_EXCEPTION && (vector == VECTOR_BP || vector == VECTOR_OF)) return;
    h->event = event;
    h->event_error = (uint32_t)(info >> 32);
    h->deliver = true;
}

/* No CPU keeps NMIs blocked for us before IRET: the intercept tells of it. It comes before the IRET is done,
 * so a second NMI may nest by one instruction. */
static void deliver_nmi(struct svm_vcpu *h)
{
    if (h->event != 0 || h->nmi_blocked || (h->vmcb->shadow & SHADOW_ACTIVE)) return; /* at a later entry */
    h->nmi_waiting = false;
    h->nmi_blocked = true;
    h->vmcb->intercept1 |= INTERCEPT_IRET;
    h->event = EVENT_VALID | EVENT_NMI | VECTOR_NMI;
}

bool svm_deliver(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    if (h->nmi_waiting) deliver_nmi(h);
    h->deliver = h->nmi_waiting;
    if (h->event == EVENT_TRIPLE_FAULT) return false;
    h->vmcb->event_inj = h->event | (uint64_t)h->event_error << 32;
    h->event = 0;
    return true;
}
