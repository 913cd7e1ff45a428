/* SPDX-License-Identifier: MIT
 *
 * What memory and string instructions share.
 */
#ifndef TITHE_VM_INTERPRET_PRIV_H
#define TITHE_VM_INTERPRET_PRIV_H

#include "vm/gva.h"
#include "vm/interpret.h"

/* All bits of an operand of 1, 2, 4 or 8 bytes. */
static inline uint64_t size_mask(unsigned bytes)
{
    return bytes == 8 ? UINT64_MAX : (1ull << (8 * bytes)) - 1;
}

/* Fetches and decodes the instruction at RIP. */
enum interpret_result interpret_fetch(struct vcpu *v, struct insn *insn);
/* Injects what the guest's tables ask for; NO_MEMORY and UNSUPPORTED (a device where there should be RAM)
 * pass through. */
enum interpret_result interpret_failed(struct vcpu *v, enum gva_status status, const struct gva_fault *fault);

/* Linear address of `offset` in a segment. */
gva_t interpret_linear(struct vcpu *v, enum seg seg, uint64_t offset);

/* A register as an address or a counter of 2, 4 or 8 bytes. */
static inline uint64_t addr_register(struct vcpu *v, enum gpr reg, unsigned bytes)
{
    return v->regs.gpr[reg] & size_mask(bytes);
}

/* Writes a register the way an instruction of this size does: 32-bit results clear the upper half. */
static inline void write_register(struct vcpu *v, enum gpr reg, unsigned bytes, uint64_t value)
{
    uint64_t *r = &v->regs.gpr[reg];
    uint64_t mask = size_mask(bytes);
    *r = bytes >= 4 ? value & mask : (*r & ~mask) | (value & mask);
}

/* RSI or RDI moves on by one element, as the direction flag says. */
void interpret_advance(struct vcpu *v, enum gpr reg, const struct insn *insn);
/* One iteration is done: counts RCX down; true: another one follows. */
bool interpret_repeat(struct vcpu *v, const struct insn *insn);
/* Nothing to do at all: REP with a count of 0. */
static inline bool no_repeats(struct vcpu *v, const struct insn *insn)
{
    return insn->rep && addr_register(v, RCX, insn->addr_bytes) == 0;
}
/* The instruction is finished. */
void interpret_finish(struct vcpu *v, const struct insn *insn);

/* `op` on two operands of `bytes`; sets the arithmetic flags. *write: the result goes to the destination. */
uint64_t interpret_alu(enum insn_op op, uint64_t dst, uint64_t src, unsigned bytes, uint64_t *rflags,
                       bool *write);

#endif
