/* SPDX-License-Identifier: MIT
 *
 * The interrupt table, and what to do with what comes in through it.
 */
#include "lib/log.h"
#include "lib/string.h"
#include "x86/cpu.h"
#include "x86/desc.h"
#include "x86/irq.h"
#include "x86/msr.h"
#include "x86/percpu.h"
#include "x86/smp.h"
#include "x86/trap.h"

#define GATE_INTERRUPT 0x8e /* present, DPL 0: ring 3 raises none of these by INT */
#define STUB_BYTES     16u
#define FIRST_IRQ      32u

struct gate idt[256] __attribute__((aligned(16)));

extern const char trap_stubs[256][STUB_BYTES];

struct fixup {
    uint64_t from;
    uint64_t to;
};
extern const struct fixup fixup_start[], fixup_end[];

static uint8_t ist_of(unsigned vector)
{
    switch (vector) {
    case VECTOR_DB: return IST_DB;
    case VECTOR_NMI: return IST_NMI;
    case VECTOR_DF: return IST_DF;
    case VECTOR_MC: return IST_MC;
    default: return 0;
    }
}

void idt_init(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(idt); i++) {
        uint64_t entry = (uint64_t)(uintptr_t)trap_stubs[i];
        idt[i] = (struct gate){
            .offset_low = (uint16_t)entry,
            .selector = SEL_CORE_CS,
            .ist = ist_of(i),
            .type = GATE_INTERRUPT,
            .offset_mid = (uint16_t)(entry >> 16),
            .offset_high = (uint32_t)(entry >> 32),
        };
    }
}

void trap_from_core(struct trap_frame *frame)
{
    if (frame->vector >= FIRST_IRQ) {
        irq_dispatch((uint8_t)frame->vector);
        return;
    }
    if (frame->vector == VECTOR_NMI) smp_nmi();
    /* The core never steps itself. Ring 3 may have: SYSCALL with TF set, or a breakpoint held back by MOV SS,
     * ends up here on some CPUs (CVE-2018-8897), and is nobody's business. */
    if (frame->vector == VECTOR_DB) {
        frame->rflags &= ~RFLAGS_TF;
        return;
    }
    for (const struct fixup *f = fixup_start; f < fixup_end; f++) {
        if (f->from == frame->rip) {
            frame->rip = f->to;
            return;
        }
    }
    panic_trap(frame);
}

enum user_exit trap_from_user(struct trap_frame *frame)
{
    struct user_context *context = this_cpu()->user_context;

    if (frame->vector == VECTOR_NMI) smp_nmi();
    memcpy(context->gpr, frame->gpr, sizeof context->gpr);
    context->gpr[RSP] = frame->rsp;
    context->rip = frame->rip;
    context->rflags = frame->rflags;
    context->vector = frame->vector;
    context->error = frame->error;
    if (frame->vector >= FIRST_IRQ) {
        irq_dispatch((uint8_t)frame->vector);
        return USER_INTERRUPT;
    }
    /* Nothing ring 3 does: the machine is in trouble, or somebody asks where it is. */
    if (frame->vector == VECTOR_NMI || frame->vector == VECTOR_MC || frame->vector == VECTOR_DF)
        panic_trap(frame);
    if (frame->vector == VECTOR_PF) context->cr2 = read_cr2();
    return USER_FAULT;
}
