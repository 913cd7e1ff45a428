/* SPDX-License-Identifier: MIT
 *
 * Fetching, addressing, repeating.
 */
#include "vm/interpret.h"

#include "virt/vendor.h"
#include "vm/interpret_priv.h"
#include "x86/msr.h"

#define ATTR_L  (1u << 13)
#define ATTR_DB (1u << 14)

static enum insn_mode mode_of(struct vcpu *v, gva_t *linear_rip)
{
    struct segment cs;
    vendor->get_seg(v, SEG_CS, &cs);
    if ((vendor->get_sys(v, SYS_EFER) & EFER_LMA) && (cs.attr & ATTR_L)) {
        *linear_rip = v->regs.rip;
        return INSN_64;
    }
    *linear_rip = (uint32_t)(cs.base + v->regs.rip);
    return cs.attr & ATTR_DB ? INSN_32 : INSN_16;
}

/* Up to 15 bytes; those on the next page only if they can be had. */
static enum gva_status fetch(struct vcpu *v, gva_t linear, uint8_t *out, size_t *count,
                             struct gva_fault *fault)
{
    size_t first = PAGE_BYTES - (linear & (PAGE_BYTES - 1));
    if (first > INSN_BYTES_MAX) first = INSN_BYTES_MAX;
    enum gva_status status = gva_read(v, linear, out, first, GVA_FETCH, fault);
    *count = status == GVA_OK ? first : 0;
    if (status != GVA_OK || first == INSN_BYTES_MAX) return status;
    status = gva_read(v, linear + first, out + first, INSN_BYTES_MAX - first, GVA_FETCH, fault);
    if (status == GVA_OK) *count = INSN_BYTES_MAX;
    return status;
}

enum interpret_result interpret_failed(struct vcpu *v, enum gva_status status, const struct gva_fault *fault)
{
    switch (status) {
    case GVA_OK: return INTERPRET_OK;
    case GVA_FAULT: gva_inject(v, fault); return INTERPRET_FAULT;
    case GVA_NO_MEMORY: return INTERPRET_NO_MEMORY;
    case GVA_DEVICE: break;
    }
    return INTERPRET_UNSUPPORTED;
}

enum interpret_result interpret_fetch(struct vcpu *v, struct insn *insn)
{
    uint8_t bytes[INSN_BYTES_MAX];
    size_t count;
    gva_t linear;
    struct gva_fault fault;
    enum insn_mode mode = mode_of(v, &linear);
    enum gva_status status = fetch(v, linear, bytes, &count, &fault);

    switch (decode(bytes, count, mode, insn)) {
    case DECODE_OK: return INTERPRET_OK;
    case DECODE_SHORT: return status == GVA_OK ? INTERPRET_UNSUPPORTED : interpret_failed(v, status, &fault);
    case DECODE_UNKNOWN: break;
    }
    return INTERPRET_UNSUPPORTED;
}

size_t interpret_bytes(struct vcpu *v, uint8_t out[INSN_BYTES_MAX])
{
    size_t count;
    gva_t linear;
    struct gva_fault fault;
    mode_of(v, &linear);
    return fetch(v, linear, out, &count, &fault) == GVA_OK ? INSN_BYTES_MAX : count;
}

gva_t interpret_linear(struct vcpu *v, enum seg seg, uint64_t offset)
{
    struct segment cs, s;
    vendor->get_seg(v, SEG_CS, &cs);
    vendor->get_seg(v, seg, &s);
    if ((vendor->get_sys(v, SYS_EFER) & EFER_LMA) && (cs.attr & ATTR_L))
        return seg == SEG_FS || seg == SEG_GS ? s.base + offset : offset;
    return (uint32_t)(s.base + offset);
}

void interpret_advance(struct vcpu *v, enum gpr reg, const struct insn *insn)
{
    uint64_t step = v->regs.rflags & RFLAGS_DF ? (uint64_t)-insn->operand_bytes : insn->operand_bytes;
    write_register(v, reg, insn->addr_bytes, v->regs.gpr[reg] + step);
}

bool interpret_repeat(struct vcpu *v, const struct insn *insn)
{
    if (!insn->rep) return false;
    write_register(v, RCX, insn->addr_bytes, v->regs.gpr[RCX] - 1);
    return addr_register(v, RCX, insn->addr_bytes) != 0;
}

void interpret_finish(struct vcpu *v, const struct insn *insn)
{
    v->exit.insn_bytes = insn->bytes;
    v->regs.rflags &= ~RFLAGS_RF;
    vcpu_skip(v);
}
