/* SPDX-License-Identifier: MIT
 *
 * INS and OUTS.
 */
#include "vm/gva.h"
#include "vm/interpret_priv.h"

static enum gva_status out_step(struct vcpu *v, const struct pio_ops *ops, const struct insn *i,
                                struct gva_fault *fault)
{
    uint32_t value = 0;
    gva_t gva = interpret_linear(v, (enum seg)i->seg, addr_register(v, RSI, i->addr_bytes));
    enum gva_status status = gva_read(v, gva, &value, i->operand_bytes, GVA_READ, fault);
    if (status != GVA_OK) return status;
    ops->out(v, v->exit.u.pio.port, i->operand_bytes, value);
    interpret_advance(v, RSI, i);
    return GVA_OK;
}

static enum gva_status in_step(struct vcpu *v, const struct pio_ops *ops, const struct insn *i,
                               struct gva_fault *fault)
{
    uint32_t value = 0;
    gva_t gva = interpret_linear(v, SEG_ES, addr_register(v, RDI, i->addr_bytes));
    /* Reading a port may change the device: only once it is sure that the value can be put down. */
    enum gva_status status = gva_read(v, gva, &value, i->operand_bytes, GVA_WRITE, fault);
    if (status != GVA_OK) return status;
    value = ops->in(v, v->exit.u.pio.port, i->operand_bytes);
    status = gva_write(v, gva, &value, i->operand_bytes, fault);
    if (status != GVA_OK) return status;
    interpret_advance(v, RDI, i);
    return GVA_OK;
}

/* Another vCPU may have put another instruction there since; then the guest may use the port for what exited only. */
static bool exited(const struct vcpu *v, const struct insn *i)
{
    return i->op == (v->exit.u.pio.in ? INSN_INS : INSN_OUTS) && i->operand_bytes == v->exit.u.pio.bytes;
}

enum interpret_result interpret_string_pio(struct vcpu *v, const struct pio_ops *ops)
{
    struct insn insn;
    struct gva_fault fault;
    enum interpret_result result = interpret_fetch(v, &insn);

    if (result != INTERPRET_OK) return result;
    if (!exited(v, &insn)) return INTERPRET_UNSUPPORTED;
    if (no_repeats(v, &insn)) {
        interpret_finish(v, &insn);
        return INTERPRET_OK;
    }
    for (unsigned n = 0; n < INTERPRET_REPEATS_MAX; n++) {
        enum gva_status status =
            insn.op == INSN_INS ? in_step(v, ops, &insn, &fault) : out_step(v, ops, &insn, &fault);
        if (status != GVA_OK) return interpret_failed(v, status, &fault);
        if (!interpret_repeat(v, &insn)) {
            interpret_finish(v, &insn);
            break;
        }
    }
    return INTERPRET_OK;
}
