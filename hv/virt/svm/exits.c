/* SPDX-License-Identifier: MIT
 *
 * Exits that only AMD-V knows, or that few guests ever cause.
 */
#include "virt/svm/svm.h"

#include "vm/vm.h"
#include "x86/fpu.h"
#include "x86/msr.h"

static void inject_gp(struct vcpu *v)
{
    svm_inject_exception(v, VECTOR_GP, true, 0);
}

static void skip(struct vcpu *v, const struct vmcb *c, uint32_t usual_bytes)
{
    v->exit.insn_bytes = svm_insn_bytes(c, usual_bytes);
    vcpu_skip(v);
}

static void xsetbv(struct vcpu *v, const struct vmcb *c)
{
    uint64_t value = (uint32_t)v->regs.gpr[RAX] | v->regs.gpr[RDX] << 32;
    if (!(c->cr4 & CR4_OSXSAVE))
        svm_inject_exception(v, VECTOR_UD, false, 0);
    else if (c->cpl == 0 && (uint32_t)v->regs.gpr[RCX] == 0 && fpu_set_xcr0(&v->fpu, value))
        skip(v, c, 3);
    else
        inject_gp(v);
}

static void exception(struct vcpu *v, const struct vmcb *c)
{
    uint8_t vector = (uint8_t)(c->exit_code - SVM_EXIT_EXCEPTION);
    switch (vector) {
    case VECTOR_MC: __asm__ volatile("int $18" : : : "memory"); break;
    case VECTOR_DB:
        svm_inject_exception(v, vector, false, 0);
        break; /* DR6 is written already (APM 2 15.12.2) */
    default: svm_inject_exception(v, vector, true, (uint32_t)c->exit_info1); break;
    }
}

void svm_exit_other(struct vcpu *v)
{
    struct svm_vcpu *h = v->hw;
    struct vmcb *c = h->vmcb;
    struct exit *e = &v->exit;

    e->kind = EXIT_NONE;
    svm_keep_event(h, c);
    switch (c->exit_code) {
    case SVM_EXIT_NMI: e->kind = EXIT_INTERRUPT; break; /* taken at STGI */
    case SVM_EXIT_SHUTDOWN: e->kind = EXIT_TRIPLE_FAULT; break;
    case SVM_EXIT_IRET:
        h->nmi_blocked = false;
        c->intercept1 &= ~INTERCEPT_IRET;
        break;
    case SVM_EXIT_XSETBV: xsetbv(v, c); break;
    /* No device writes memory behind the cache's back: nothing to write back, and INVD would lose the host's
     * data. */
    case SVM_EXIT_INVD:
    case SVM_EXIT_WBINVD: skip(v, c, 2); break;
    case SVM_EXIT_RDPMC: inject_gp(v); break;
    case SVM_EXIT_TASK:
        e->kind = EXIT_UNSUPPORTED;
        e->why = "hardware task switch";
        break;
    case UINT64_MAX:   /* VMEXIT_INVALID */
    case UINT32_MAX: { /* the same, as QEMU has it */
        const char *audit = svm_audit(v);
        svm_renew_asids(); /* was the flush done that this VMRUN may have owed? */
        e->kind = EXIT_BAD_STATE;
        e->why = audit != NULL ? audit : "VMRUN refused: invalid guest state";
        break;
    }
    case SVM_EXIT_INVLPGA:
    case SVM_EXIT_VMRUN:
    case SVM_EXIT_MONITOR:
    case SVM_EXIT_MWAIT:
    case SVM_EXIT_RDPRU: svm_inject_exception(v, VECTOR_UD, false, 0); break;
    default:
        if (c->exit_code >= SVM_EXIT_VMLOAD && c->exit_code <= SVM_EXIT_SKINIT) {
            svm_inject_exception(v, VECTOR_UD, false, 0);
        } else if (c->exit_code >= SVM_EXIT_EXCEPTION && c->exit_code < SVM_EXIT_EXCEPTION + 32) {
            exception(v, c);
        } else {
            e->kind = EXIT_UNSUPPORTED;
            e->why = "an AMD-V exit of unknown kind";
        }
        break;
    }
}
