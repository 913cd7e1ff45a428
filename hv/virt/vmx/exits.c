/* SPDX-License-Identifier: MIT
 *
 * Exits that only VT-x knows, or that few guests ever cause.
 */
#include "virt/vmx/vmx.h"

#include "vm/vm.h"
#include "x86/cpu.h"
#include "x86/fpu.h"
#include "x86/msr.h"

#define CR0_DEFINED                                                                                          \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define SEG_LONG (1u << 13) /* L, in the attributes of CS */

static void inject_ud(struct vcpu *v)
{
    vmx_inject_exception(v, VECTOR_UD, false, 0);
}

static void inject_gp(struct vcpu *v)
{
    vmx_inject_exception(v, VECTOR_GP, true, 0);
}

static bool in_64_bit_code(void)
{
    return (vmread(GUEST_EFER) & EFER_LMA) && (vmread(vmcs_nth(GUEST_ES_RIGHTS, SEG_CS)) & SEG_LONG);
}

/* MOV to CR0 (SDM 2B "MOV to control registers"). */
static bool cr0_allowed(struct vcpu *v, uint64_t new)
{
    uint64_t old = vmx_get_sys(v, SYS_CR0);
    bool paging = new &CR0_PG;
    if (new >> 32 || (paging && !(new &CR0_PE)) || ((new &CR0_NW) && !(new &CR0_CD))) return false;
    if (paging && !(old & CR0_PG) && (vmread(GUEST_EFER) & EFER_LME))
        return (vmread(GUEST_CR4) & CR4_PAE) && !(vmread(vmcs_nth(GUEST_ES_RIGHTS, SEG_CS)) & SEG_LONG);
    if (!paging && (old & CR0_PG)) return !(vmread(GUEST_CR4) & CR4_PCIDE) && !in_64_bit_code();
    return true;
}

static bool cr4_allowed(struct vcpu *v, uint64_t new)
{
    uint64_t old = vmx_get_sys(v, SYS_CR4);
    bool lma = vmread(GUEST_EFER) & EFER_LMA;
    if (new & ~(vmx_cr4_guest() | CR4_MCE)) return false;
    if (lma && !(new &CR4_PAE)) return false;
    return !(new & ~old &CR4_PCIDE) || (lma && (vmread(GUEST_CR3) & 0xFFF) == 0);
}

/* MOV to CR0 or CR4 that touches bits the core keeps, and all of CR8, which is the LAPIC's TPR (SDM
 * 3A 11.8.6). */
static void cr_exit(struct vcpu *v)
{
    uint64_t why = vmread(EXIT_QUALIFICATION); /* SDM 3C table 28-3 */
    unsigned cr = why & 15, type = (why >> 4) & 3;
    uint64_t *gpr = &v->regs.gpr[(why >> 8) & 15];
    uint64_t value = in_64_bit_code() ? *gpr : (uint32_t)*gpr;

    if (type == 1 && cr == 8) {
        *gpr = v->lapic.tpr >> 4;
    } else if (type == 0 && cr == 8 && value <= 15) {
        v->lapic.tpr = (uint32_t)value << 4;
        v->irq_check = true;
    } else if (type == 0 && cr == 0 && cr0_allowed(v, value)) {
        vmx_set_cr0(v, (value & CR0_DEFINED) | CR0_ET);
    } else if (type == 0 && cr == 4 && cr4_allowed(v, value)) {
        vmx_set_cr4(v, value);
    } else {
        inject_gp(v);
        return;
    }
    vcpu_skip(v);
}

static void xsetbv_exit(struct vcpu *v)
{
    uint64_t value = (uint32_t)v->regs.gpr[RAX] | v->regs.gpr[RDX] << 32;
    /* CPL and CR4.OSXSAVE were checked before the exit (SDM 3C 26.1.1). */
    if ((uint32_t)v->regs.gpr[RCX] == 0 && fpu_set_xcr0(&v->fpu, value))
        vcpu_skip(v);
    else
        inject_gp(v);
}

/* DR6 is not written before this exit: the qualification has what it should become (SDM 3C 28.2.1). */
static void debug_exception(struct vcpu *v)
{
    uint64_t why = vmread(EXIT_QUALIFICATION) & 0x600Fu;
    write_dr6((read_dr6() & ~0xFul) | why);
    vmwrite(GUEST_DR7, vmread(GUEST_DR7) & ~(1ull << 13)); /* GD */
    vmx_inject_exception(v, VECTOR_DB, false, 0);
}

static void exception_exit(struct vcpu *v)
{
    uint32_t event = (uint32_t)vmread(EXIT_EVENT), idt_event = (uint32_t)vmread(IDT_EVENT);

    if (idt_event & EVENT_VALID) vmx_keep_event(v, idt_event);
    if ((event & EVENT_TYPE) == EVENT_NMI) {
        __asm__ volatile("int $2" : : : "memory"); /* the host's own; its IRET unblocks NMIs */
        v->exit.kind = EXIT_INTERRUPT;
        return;
    }
    switch (event & EVENT_VECTOR) {
    case VECTOR_MC: __asm__ volatile("int $18" : : : "memory"); break;
    case VECTOR_DB: debug_exception(v); break;
    default: vmx_inject_exception(v, (uint8_t)event, true, (uint32_t)vmread(EXIT_EVENT_ERROR)); break;
    }
}

static const char *entry_failure(uint32_t reason)
{
    switch (reason & ~REASON_ENTRY_FAILED) {
    case REASON_BAD_GUEST: return "VM entry refused: invalid guest state";
    case REASON_BAD_MSR_LOAD: return "VM entry refused: MSR loading";
    case REASON_MACHINE_CHECK: return "VM entry ended by a machine check";
    default: return "VM entry refused";
    }
}

static void unsupported(struct vcpu *v, const char *why)
{
    v->exit.kind = EXIT_UNSUPPORTED;
    v->exit.why = why;
}

void vmx_exit_other(struct vcpu *v, uint32_t reason)
{
    struct exit *e = &v->exit;
    e->kind = EXIT_NONE;
    e->insn_bytes = (uint32_t)vmread(EXIT_INSN_BYTES);
    if (reason & REASON_ENTRY_FAILED) {
        const char *audit = vmx_audit(v);
        e->kind = EXIT_BAD_STATE;
        e->why = audit != NULL ? audit : entry_failure(reason);
        return;
    }
    switch (reason) {
    case REASON_EXCEPTION_NMI: exception_exit(v); break;
    case REASON_TRIPLE_FAULT: e->kind = EXIT_TRIPLE_FAULT; break;
    case REASON_NMI_WINDOW: vmx_set_controls(v->hw, 0, CPU_NMI_WINDOW); break;
    case REASON_PREEMPTION_TIMER:
        vmx_reload_timer(v);
        __asm__ volatile("sti; nop; cli" : : : "memory"); /* whatever has been held back */
        e->kind = EXIT_INTERRUPT;
        break;
    case REASON_CR: cr_exit(v); break;
    case REASON_XSETBV: xsetbv_exit(v); break;
    /* No device writes memory behind the cache's back: nothing to write back, and INVD would lose the host's
     * data. */
    case REASON_INVD:
    case REASON_WBINVD: vcpu_skip(v); break;
    case REASON_RDPMC: inject_gp(v); break;
    case REASON_TASK_SWITCH: unsupported(v, "hardware task switch"); break;
    case REASON_EPT_MISCONFIG:
        e->kind = EXIT_BAD_STATE;
        e->why = "a second-level entry is malformed (EPT misconfiguration)";
        break;
    case REASON_GETSEC:
    case REASON_MWAIT:
    case REASON_MONITOR:
    case REASON_INVEPT:
    case REASON_INVVPID:
    case REASON_VMFUNC: inject_ud(v); break;
    default:
        if (reason >= REASON_VMCLEAR && reason <= REASON_VMXON)
            inject_ud(v);
        else
            unsupported(v, "a VT-x exit of unknown kind");
        break;
    }
}
