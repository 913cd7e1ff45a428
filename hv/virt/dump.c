/* SPDX-License-Identifier: MIT */
#include "virt/dump.h"

#include "lib/log.h"
#include "virt/vendor.h"
#include "vm/vm.h"

static void dump_segment(struct vcpu *v, enum seg seg, const char *name)
{
    struct segment s;
    vendor->get_seg(v, seg, &s);
    log_line("  %-4s %04x base %016lx limit %08x attr %04x%s", name, s.selector, s.base, s.limit, s.attr,
             s.unusable ? " unusable" : "");
}

void dump_common(struct vcpu *v)
{
    static const char *const segments[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};
    const uint64_t *r = v->regs.gpr;

    log_line("vCPU %s/%u, %s: rip %016lx rflags %08lx", v->vm->name, v->index, vendor->name, v->regs.rip,
             v->regs.rflags);
    log_line("  rax %016lx rcx %016lx rdx %016lx rbx %016lx", r[RAX], r[RCX], r[RDX], r[RBX]);
    log_line("  rsp %016lx rbp %016lx rsi %016lx rdi %016lx", r[RSP], r[RBP], r[RSI], r[RDI]);
    log_line("  r8  %016lx r9  %016lx r10 %016lx r11 %016lx", r[R8], r[R9], r[R10], r[R11]);
    log_line("  r12 %016lx r13 %016lx r14 %016lx r15 %016lx", r[R12], r[R13], r[R14], r[R15]);
    log_line("  cr0 %lx cr2 %lx cr3 %lx cr4 %lx efer %lx", vendor->get_sys(v, SYS_CR0),
             vendor->get_sys(v, SYS_CR2), vendor->get_sys(v, SYS_CR3), vendor->get_sys(v, SYS_CR4),
             vendor->get_sys(v, SYS_EFER));
    log_line("  gdt %lx+%lx idt %lx+%lx", vendor->get_sys(v, SYS_GDT_BASE), vendor->get_sys(v, SYS_GDT_LIMIT),
             vendor->get_sys(v, SYS_IDT_BASE), vendor->get_sys(v, SYS_IDT_LIMIT));
    for (enum seg s = SEG_ES; s < SEG_COUNT; s++) dump_segment(v, s, segments[s]);
}
