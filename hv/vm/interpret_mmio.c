/* SPDX-License-Identifier: MIT
 *
 * Instructions whose memory operand is a device's.
 */
#include "vm/gva.h"
#include "vm/interpret_priv.h"
#include "vm/vm.h"

/* One memory operand: RAM, or device memory at `gpa`. */
struct place {
    gva_t gva;
    gpa_t gpa;
    unsigned bytes;
    bool device;
};

struct machine {
    struct vcpu *v;
    const struct mmio_ops *ops;
    struct gva_fault fault;
};

/* Finds out where an operand is and whether it may be accessed, so that afterwards nothing can fail half way.
 */
static enum gva_status locate(struct machine *m, gva_t gva, unsigned bytes, unsigned access,
                              struct place *out)
{
    struct vcpu *v = m->v;
    uint64_t unused;

    *out = (struct place){.gva = gva, .bytes = bytes};
    if ((gva & (PAGE_BYTES - 1)) + bytes > PAGE_BYTES) {
        /* Across pages: RAM, or nobody's business. */
        enum gva_status status = gva_read(v, gva, &unused, bytes, access, &m->fault);
        return status;
    }
    enum gva_status status = gva_translate(v, gva, access, &out->gpa, &m->fault);
    if (status != GVA_OK) return status;
    out->device = !p2m_is_ram(&v->vm->p2m, out->gpa >> PAGE_SHIFT);
    return out->device ? GVA_OK : gva_read(v, gva, &unused, bytes, access, &m->fault);
}

static enum gva_status load(struct machine *m, const struct place *p, uint64_t *value)
{
    *value = 0;
    if (!p->device) return gva_read(m->v, p->gva, value, p->bytes, GVA_READ, &m->fault);
    *value = m->ops->read(m->v, p->gpa, p->bytes) & size_mask(p->bytes);
    return GVA_OK;
}

static enum gva_status store(struct machine *m, const struct place *p, uint64_t value)
{
    if (!p->device) return gva_write(m->v, p->gva, &value, p->bytes, &m->fault);
    m->ops->write(m->v, p->gpa, p->bytes, value & size_mask(p->bytes));
    return GVA_OK;
}

/* ---- register operands and addresses ---- */

static uint64_t read_operand(struct vcpu *v, const struct insn *i)
{
    if (i->has_imm) return i->imm;
    return (v->regs.gpr[i->reg] >> (i->high ? 8 : 0)) & size_mask(i->reg_bytes);
}

static void write_operand(struct vcpu *v, const struct insn *i, uint64_t value)
{
    if (i->high)
        v->regs.gpr[i->reg] = (v->regs.gpr[i->reg] & ~0xFF00ull) | (value & 0xFF) << 8;
    else
        write_register(v, (enum gpr)i->reg, i->reg_bytes, value);
}

static uint64_t effective_address(struct vcpu *v, const struct insn *i)
{
    uint64_t address = (uint64_t)i->disp;
    if (i->base == INSN_REG_RIP)
        address += v->regs.rip + i->bytes;
    else if (i->base != INSN_NO_REG)
        address += v->regs.gpr[i->base];
    if (i->index != INSN_NO_REG) address += v->regs.gpr[i->index] * i->scale;
    /* A bit number in a register reaches beyond the operand (SDM 2A "BT"). */
    if (i->op >= INSN_BT && i->op <= INSN_BTC && !i->has_imm) {
        unsigned bits = 8 * i->operand_bytes, unused = 64 - bits;
        int64_t number = (int64_t)(v->regs.gpr[i->reg] << unused) >> unused;
        address += (uint64_t)((number >> (i->operand_bytes == 8   ? 6
                                          : i->operand_bytes == 4 ? 5
                                                                  : 4)) *
                              i->operand_bytes);
    }
    return address & size_mask(i->addr_bytes);
}

/* ---- instructions ---- */

static uint64_t sign_extend(uint64_t value, unsigned bytes)
{
    unsigned unused = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << unused) >> unused);
}

static bool only_reads(const struct insn *i)
{
    if (i->op == INSN_TEST || i->op == INSN_CMP || i->op == INSN_BT) return true;
    return !i->to_mem;
}

static enum gva_status read_modify_write(struct machine *m, const struct insn *i, const struct place *p)
{
    struct vcpu *v = m->v;
    uint64_t memory, reg = read_operand(v, i), flags = v->regs.rflags;
    bool write;
    enum gva_status status = load(m, p, &memory);
    if (status != GVA_OK) return status;

    uint64_t result = interpret_alu(i->op, i->to_mem ? memory : reg, i->to_mem ? reg : memory,
                                    i->operand_bytes, &flags, &write);
    if (write && i->to_mem) status = store(m, p, result);
    if (status != GVA_OK) return status;
    if (write && !i->to_mem) write_operand(v, i, result);
    v->regs.rflags = flags;
    return GVA_OK;
}

static enum gva_status one_operand(struct machine *m, const struct insn *i)
{
    struct vcpu *v = m->v;
    struct place p;
    uint64_t value;
    gva_t gva = interpret_linear(v, (enum seg)i->seg, effective_address(v, i));
    enum gva_status status = locate(m, gva, i->operand_bytes, only_reads(i) ? GVA_READ : GVA_WRITE, &p);
    if (status != GVA_OK) return status;

    switch (i->op) {
    case INSN_MOV:
        if (i->to_mem) return store(m, &p, read_operand(v, i));
        status = load(m, &p, &value);
        if (status == GVA_OK) write_operand(v, i, value);
        return status;
    case INSN_MOVZX:
    case INSN_MOVSX:
        status = load(m, &p, &value);
        if (status == GVA_OK)
            write_operand(v, i, i->op == INSN_MOVSX ? sign_extend(value, i->operand_bytes) : value);
        return status;
    case INSN_XCHG:
        status = load(m, &p, &value);
        if (status == GVA_OK) status = store(m, &p, read_operand(v, i));
        if (status == GVA_OK) write_operand(v, i, value);
        return status;
    default: return read_modify_write(m, i, &p);
    }
}

/* One iteration of MOVS, STOS or LODS. */
static enum gva_status string_step(struct machine *m, const struct insn *i)
{
    struct vcpu *v = m->v;
    bool from = i->op != INSN_STOS, to = i->op != INSN_LODS;
    struct place src, dst;
    uint64_t value = v->regs.gpr[RAX];
    enum gva_status status = GVA_OK;

    if (from) {
        gva_t gva = interpret_linear(v, (enum seg)i->seg, addr_register(v, RSI, i->addr_bytes));
        status = locate(m, gva, i->operand_bytes, GVA_READ, &src);
    }
    if (status == GVA_OK && to) {
        gva_t gva = interpret_linear(v, SEG_ES, addr_register(v, RDI, i->addr_bytes));
        status = locate(m, gva, i->operand_bytes, GVA_WRITE, &dst);
    }
    if (status == GVA_OK && from) status = load(m, &src, &value);
    if (status == GVA_OK && to) status = store(m, &dst, value);
    if (status != GVA_OK) return status;
    if (from) interpret_advance(v, RSI, i);
    if (to)
        interpret_advance(v, RDI, i);
    else
        write_operand(v, i, value);
    return GVA_OK;
}

static enum interpret_result run_string(struct machine *m, const struct insn *i)
{
    if (no_repeats(m->v, i)) {
        interpret_finish(m->v, i);
        return INTERPRET_OK;
    }
    for (unsigned n = 0; n < INTERPRET_REPEATS_MAX; n++) {
        enum gva_status status = string_step(m, i);
        if (status != GVA_OK) return interpret_failed(m->v, status, &m->fault);
        if (!interpret_repeat(m->v, i)) {
            interpret_finish(m->v, i);
            break;
        }
    }
    return INTERPRET_OK;
}

enum interpret_result interpret_mmio(struct vcpu *v, const struct mmio_ops *ops)
{
    struct machine m = {.v = v, .ops = ops};
    struct insn insn;
    enum interpret_result result = interpret_fetch(v, &insn);

    if (result != INTERPRET_OK) return result;
    switch (insn.op) {
    case INSN_INS:
    case INSN_OUTS: return INTERPRET_UNSUPPORTED; /* between a port and a device's memory */
    case INSN_MOVS:
    case INSN_STOS:
    case INSN_LODS: return run_string(&m, &insn);
    default: break;
    }
    enum gva_status status = one_operand(&m, &insn);
    if (status != GVA_OK) return interpret_failed(v, status, &m.fault);
    interpret_finish(v, &insn);
    return INTERPRET_OK;
}
