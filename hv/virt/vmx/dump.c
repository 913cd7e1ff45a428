/* SPDX-License-Identifier: MIT */
#include "virt/vmx/vmx.h"

#include "lib/log.h"
#include "virt/dump.h"

void vmx_dump(struct vcpu *v)
{
    const struct vmx_vcpu *h = v->hw;

    vmx_make_current(v);
    dump_common(v);
    log_line("  exit reason 0x%lx qualification 0x%lx insn bytes %lu event 0x%lx idt event 0x%lx",
             vmread(EXIT_REASON), vmread(EXIT_QUALIFICATION), vmread(EXIT_INSN_BYTES), vmread(EXIT_EVENT),
             vmread(IDT_EVENT));
    log_line("  gpa 0x%lx instruction error %lu waiting event 0x%x", vmread(GUEST_PHYSICAL),
             vmread(INSTRUCTION_ERROR), h->entry_event);
    log_line("  controls pin 0x%lx cpu 0x%lx cpu2 0x%lx exit 0x%lx entry 0x%lx eptp 0x%lx",
             vmread(PIN_CONTROLS), vmread(CPU_CONTROLS), vmread(CPU_CONTROLS2), vmread(EXIT_CONTROLS),
             vmread(ENTRY_CONTROLS), vmread(EPT_POINTER));
    log_line("  real cr0 0x%lx cr4 0x%lx blocking 0x%lx activity %lu pending debug 0x%lx", vmread(GUEST_CR0),
             vmread(GUEST_CR4), vmread(GUEST_BLOCKING), vmread(GUEST_ACTIVITY), vmread(GUEST_PENDING_DEBUG));
}
