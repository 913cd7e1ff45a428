/* SPDX-License-Identifier: MIT
 *
 * What the files of the VT-x implementation share.
 */
#ifndef TITHE_VIRT_VMX_VMX_H
#define TITHE_VIRT_VMX_VMX_H

#include "virt/event.h"
#include "virt/live.h"
#include "virt/vendor.h"
#include "virt/vmx/vmcs.h"

struct vmx_vcpu {
    hpa_t vmcs;
    uint32_t host_cpu;     /* the host state in the VMCS is that of this CPU */
    uint32_t cpu_controls; /* what CPU_CONTROLS holds */
    uint32_t entry_event; /* event for the next entry, or the one whose delivery an exit cut short; 0: none */
    uint32_t entry_error;
    bool nmi_waiting;
    bool deliver;         /* an event or NMI waits: vmx_deliver has something to do */
    uint64_t rsp, rflags; /* what the VMCS holds: written only when changed */
    struct live_state live;
};

/* What the boot CPU can do. A VMCS made for it runs on all: a CPU that is not alike is refused. */
struct vmx_caps {
    uint32_t pin, cpu, cpu2, exit, entry; /* controls as used, adjusted to what must be 1 (SDM 3D A.2-A.5) */
    uint32_t revision;
    uint64_t cr0_must, cr4_must; /* bits that must be 1 in VMX operation */
    uint64_t cr4_may;            /* CR4 bits that may be 1 */
    uint64_t ept_vpid;           /* IA32_VMX_EPT_VPID_CAP */
    uint64_t timer;              /* ticks of the preemption timer; 0: there is none */
};
_Static_assert(sizeof(struct vmx_caps) == 64, "no padding: compared as bytes");
extern struct vmx_caps vmx_caps;

const char *vmx_probe(void);
const char *vmx_cpu_start(void);
void vmx_cpu_stop(void);

bool vmx_vcpu_create(struct vcpu *v);
void vmx_vcpu_destroy(struct vcpu *v);
void vmx_reset_flat(struct vcpu *v, uint32_t entry);
void vmx_reset_sipi(struct vcpu *v, uint8_t vector);

/* Makes `v` this CPU's current vCPU (percpu.live_vcpu), if it is not: afterwards VMCS fields and live state
 * are its own. */
void vmx_make_current(struct vcpu *v);
/* This CPU lets go of its current vCPU: live state saved, VMCS cleared, the host's system call MSRs back. */
void vmx_park(void);
/* CR4 bits that guests may change without an exit. */
uint64_t vmx_cr4_guest(void);
hpa_t vmx_msr_bitmap(void);
/* What this CPU's TLB holds of the vCPU's guest-virtual addresses goes before its next entry. */
void vmx_forget_translations(struct vcpu *v);

void vmx_run(struct vcpu *v);
/* Exits that only VT-x knows: done with, or turned into one that vm/ knows. */
void vmx_exit_other(struct vcpu *v, uint32_t reason);
void vmx_set_cr0(struct vcpu *v, uint64_t value);
void vmx_set_cr4(struct vcpu *v, uint64_t value);

bool vmx_can_inject(struct vcpu *v);
void vmx_inject_interrupt(struct vcpu *v, uint8_t vector);
void vmx_inject_exception(struct vcpu *v, uint8_t vector, bool has_error, uint32_t error);
void vmx_inject_nmi(struct vcpu *v);
bool vmx_nmi_waiting(const struct vcpu *v);
/* Puts what is waiting into the VMCS; part of an entry. False: a triple fault. */
bool vmx_deliver(struct vcpu *v);
/* An exit cut the delivery of an event short: it is delivered again at the next entry. */
void vmx_keep_event(struct vcpu *v, uint32_t idt_event);
/* How long the guest may run without the core looking at host interrupts. On a real CPU these end its turn by themselves. Bochs 2.7
 * holds them back in a guest that was entered with IF clear, until it sets IF; CPUs that wait for it to leave
 * should not wait long. */
void vmx_reload_timer(const struct vcpu *v);
void vmx_set_controls(struct vmx_vcpu *h, uint32_t set, uint32_t clear);

uint64_t vmx_get_sys(struct vcpu *v, enum sysreg reg);
void vmx_set_sys(struct vcpu *v, enum sysreg reg, uint64_t value);
void vmx_get_seg(struct vcpu *v, enum seg seg, struct segment *out);
void vmx_set_seg(struct vcpu *v, enum seg seg, const struct segment *in);
void vmx_set_tsc_offset(struct vcpu *v, uint64_t offset);

const char *vmx_audit(struct vcpu *v);
void vmx_dump(struct vcpu *v);

static inline uint64_t vmread(enum vmcs_field field)
{
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=rm"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "rm"(value) : "cc");
}

/* One of a row of fields that lie two apart: segments, PDPTEs. */
static inline enum vmcs_field vmcs_nth(enum vmcs_field first, unsigned index)
{
    return (enum vmcs_field)((unsigned)first + 2 * index);
}

#endif
