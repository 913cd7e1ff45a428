/* SPDX-License-Identifier: MIT */
#include "virt/svm/svm.h"

#include "lib/log.h"
#include "virt/dump.h"

void svm_dump(struct vcpu *v)
{
    const struct svm_vcpu *h = v->hw;
    const struct vmcb *c = h->vmcb;

    dump_common(v);
    log_line("  exit code 0x%lx info 0x%lx 0x%lx int info 0x%lx nrip 0x%lx", c->exit_code, c->exit_info1,
             c->exit_info2, c->exit_int_info, c->nrip);
    log_line("  waiting event 0x%x intercepts 0x%x 0x%x window %u shadow %lu", h->event, c->intercept1,
             c->intercept2, c->v_irq, c->shadow);
    log_line("  asid %u nested cr3 0x%lx cpl %u efer 0x%lx dr6 0x%lx dr7 0x%lx", c->asid, c->n_cr3, c->cpl,
             c->efer, c->dr6, c->dr7);
}
