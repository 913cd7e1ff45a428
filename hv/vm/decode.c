/* SPDX-License-Identifier: MIT */
#include "vm/decode.h"

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

struct cursor {
    const uint8_t *bytes;
    size_t count, at;
    bool short_of; /* somebody asked for more than there was */
    bool too_long;
};

struct prefixes {
    enum insn_mode mode;
    bool operand, address, rep;
    uint8_t rex;
    uint8_t seg; /* enum seg, SEG_COUNT when none */
};

static uint8_t next(struct cursor *c)
{
    if (c->at >= INSN_BYTES_MAX) {
        c->too_long = true;
        return 0;
    }
    if (c->at >= c->count) {
        c->short_of = true;
        return 0;
    }
    return c->bytes[c->at++];
}

/* A little-endian number of `bytes`, sign-extended. */
static int64_t number(struct cursor *c, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value |= (uint64_t)next(c) << (8 * i);
    unsigned unused = 64 - 8 * bytes;
    return (int64_t)(value << unused) >> unused;
}

/* ---- prefixes; returns the first byte of the opcode ---- */

static bool legacy_prefix(uint8_t byte, struct prefixes *p)
{
    switch (byte) {
    case 0x26: p->seg = SEG_ES; return true;
    case 0x2E: p->seg = SEG_CS; return true;
    case 0x36: p->seg = SEG_SS; return true;
    case 0x3E: p->seg = SEG_DS; return true;
    case 0x64: p->seg = SEG_FS; return true;
    case 0x65: p->seg = SEG_GS; return true;
    case 0x66: p->operand = true; return true;
    case 0x67: p->address = true; return true;
    case 0xF0: return true; /* LOCK: nobody else touches a device's registers */
    case 0xF2:
    case 0xF3: p->rep = true; return true;
    default: return false;
    }
}

static uint8_t read_prefixes(struct cursor *c, struct prefixes *p)
{
    for (;;) {
        uint8_t byte = next(c);
        if (c->short_of || c->too_long) return 0;
        if (p->mode == INSN_64 && (byte & 0xF0) == 0x40) {
            p->rex = byte;
        } else if (legacy_prefix(byte, p)) {
            p->rex = 0; /* REX counts only right before the opcode */
        } else {
            return byte;
        }
    }
}

static uint8_t operand_bytes(const struct prefixes *p)
{
    if (p->rex & REX_W) return 8;
    return (p->mode == INSN_16) != p->operand ? 2 : 4;
}

static uint8_t address_bytes(const struct prefixes *p)
{
    if (p->mode == INSN_64) return p->address ? 4 : 8;
    return (p->mode == INSN_16) != p->address ? 2 : 4;
}

/* ---- memory operands ---- */

static void set_segment(struct insn *i, const struct prefixes *p, uint8_t usual)
{
    i->seg = p->seg != SEG_COUNT ? p->seg : usual;
    /* In 64-bit mode only FS and GS mean anything (SDM 1 3.4.4). */
    if (p->mode == INSN_64 && i->seg != SEG_FS && i->seg != SEG_GS) i->seg = SEG_DS;
}

static void memory_16(struct cursor *c, struct insn *i, unsigned mod, unsigned rm)
{
    static const uint8_t base[8] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX};
    static const uint8_t index[8] = {RSI, RDI, RSI, RDI, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG, INSN_NO_REG};

    i->base = base[rm];
    i->index = index[rm];
    if (mod == 0 && rm == 6) {
        i->base = INSN_NO_REG;
        mod = 2;
    }
    if (mod != 0) i->disp = number(c, mod);
}

static void memory_32(struct cursor *c, struct insn *i, const struct prefixes *p, unsigned mod, unsigned rm)
{
    unsigned base = rm;
    if (rm == 4) {
        uint8_t sib = next(c);
        unsigned index = ((sib >> 3) & 7) | (p->rex & REX_X ? 8 : 0);
        base = sib & 7;
        i->scale = (uint8_t)(1u << (sib >> 6));
        if (index != RSP) i->index = (uint8_t)index;
    }
    if (mod == 0 && base == 5) {
        /* No base; in 64-bit mode without SIB: relative to the next instruction. */
        i->base = p->mode == INSN_64 && rm == 5 ? INSN_REG_RIP : INSN_NO_REG;
        i->disp = number(c, 4);
        return;
    }
    i->base = (uint8_t)(base | (p->rex & REX_B ? 8 : 0));
    if (mod != 0) i->disp = number(c, mod == 1 ? 1 : 4);
}

/* ModRM and what belongs to it. False: the operand is a register. *ext is the reg field without REX. */
static bool modrm(struct cursor *c, struct insn *i, const struct prefixes *p, unsigned *ext)
{
    uint8_t byte = next(c);
    unsigned mod = byte >> 6, rm = byte & 7;

    *ext = (byte >> 3) & 7;
    i->reg = (uint8_t)(*ext | (p->rex & REX_R ? 8 : 0));
    if (mod == 3) return false;
    if (i->addr_bytes == 2)
        memory_16(c, i, mod, rm);
    else
        memory_32(c, i, p, mod, rm);
    set_segment(i, p, i->base == RSP || i->base == RBP ? SEG_SS : SEG_DS);
    return true;
}

/* ---- opcodes ---- */

/* AH, CH, DH and BH have the numbers 4 to 7 where there is no REX prefix. */
static void byte_register(struct insn *i, const struct prefixes *p)
{
    if (i->reg_bytes != 1 || p->rex != 0 || i->reg < 4) return;
    i->reg = (uint8_t)(i->reg - 4);
    i->high = true;
}

static void immediate(struct cursor *c, struct insn *i, unsigned bytes)
{
    i->has_imm = true;
    i->imm = (uint64_t)number(c, bytes);
}

/* r/m and register, both of the operand size; bit 0 of the opcode says byte or not. */
static bool rm_reg(struct cursor *c, struct insn *i, const struct prefixes *p, enum insn_op op, bool wide,
                   bool to_mem)
{
    unsigned ext;
    i->op = op;
    i->to_mem = to_mem;
    i->operand_bytes = i->reg_bytes = wide ? operand_bytes(p) : 1;
    if (!modrm(c, i, p, &ext)) return false;
    byte_register(i, p);
    return true;
}

/* MOVZX and the like: a wider register gets a narrow operand. */
static bool extend(struct cursor *c, struct insn *i, const struct prefixes *p, enum insn_op op, uint8_t from)
{
    unsigned ext;
    i->op = op;
    i->operand_bytes = from;
    i->reg_bytes = operand_bytes(p);
    return modrm(c, i, p, &ext);
}

static bool string(struct insn *i, const struct prefixes *p, enum insn_op op, bool wide)
{
    i->op = op;
    i->operand_bytes = wide ? operand_bytes(p) : 1;
    if ((op == INSN_INS || op == INSN_OUTS) && i->operand_bytes == 8) i->operand_bytes = 4;
    i->rep = p->rep;
    i->reg = RAX;
    i->reg_bytes = i->operand_bytes;
    set_segment(i, p, SEG_DS);
    return true;
}

static bool moffs(struct cursor *c, struct insn *i, const struct prefixes *p, uint8_t opcode)
{
    i->op = INSN_MOV;
    i->to_mem = opcode & 2;
    i->operand_bytes = i->reg_bytes = opcode & 1 ? operand_bytes(p) : 1;
    i->reg = RAX;
    i->disp = number(c, i->addr_bytes);
    set_segment(i, p, SEG_DS);
    return true;
}

/* An opcode whose ModRM reg field is part of it; `ops` names the instruction for each, INSN_OUTS none. */
static bool group(struct cursor *c, struct insn *i, const struct prefixes *p, bool wide, const uint8_t ops[8],
                  unsigned imm_bytes)
{
    unsigned ext;
    i->to_mem = true;
    i->operand_bytes = i->reg_bytes = wide ? operand_bytes(p) : 1;
    if (!modrm(c, i, p, &ext) || ops[ext] == INSN_OUTS) return false;
    i->op = (enum insn_op)ops[ext];
    /* TEST alone of the F6 and F7 group has an immediate. */
    if (imm_bytes != 0 && i->op != INSN_NOT && i->op != INSN_NEG) immediate(c, i, imm_bytes);
    return true;
}

#define NONE INSN_OUTS
static const uint8_t group_alu[8] = {INSN_ADD, INSN_OR,  INSN_ADC, INSN_SBB,
                                     INSN_AND, INSN_SUB, INSN_XOR, INSN_CMP};
static const uint8_t group_mov[8] = {INSN_MOV, NONE, NONE, NONE, NONE, NONE, NONE, NONE};
static const uint8_t group_test[8] = {INSN_TEST, INSN_TEST, INSN_NOT, INSN_NEG, NONE, NONE, NONE, NONE};
static const uint8_t group_inc[8] = {INSN_INC, INSN_DEC, NONE, NONE, NONE, NONE, NONE, NONE};
static const uint8_t group_bt[8] = {NONE, NONE, NONE, NONE, INSN_BT, INSN_BTS, INSN_BTR, INSN_BTC};

static bool two_byte(struct cursor *c, struct insn *i, const struct prefixes *p)
{
    uint8_t opcode = next(c);
    switch (opcode) {
    case 0xA3: return rm_reg(c, i, p, INSN_BT, true, true);
    case 0xAB: return rm_reg(c, i, p, INSN_BTS, true, true);
    case 0xB3: return rm_reg(c, i, p, INSN_BTR, true, true);
    case 0xBB: return rm_reg(c, i, p, INSN_BTC, true, true);
    case 0xBA: return group(c, i, p, true, group_bt, 1);
    case 0xB6: return extend(c, i, p, INSN_MOVZX, 1);
    case 0xB7: return extend(c, i, p, INSN_MOVZX, 2);
    case 0xBE: return extend(c, i, p, INSN_MOVSX, 1);
    case 0xBF: return extend(c, i, p, INSN_MOVSX, 2);
    case 0xC3: return !p->operand && rm_reg(c, i, p, INSN_MOV, true, true); /* MOVNTI */
    default: return false;
    }
}

static bool one_byte(struct cursor *c, struct insn *i, const struct prefixes *p, uint8_t opcode)
{
    bool wide = opcode & 1;
    uint8_t wide_imm = operand_bytes(p) == 2 ? 2 : 4;

    if (opcode < 0x40 && (opcode & 7) < 4)
        return rm_reg(c, i, p, (enum insn_op)(opcode >> 3), wide, !(opcode & 2));
    switch (opcode) {
    case 0x0F: return two_byte(c, i, p);
    case 0x63: return p->mode == INSN_64 && extend(c, i, p, INSN_MOVSX, 4);
    case 0x6C:
    case 0x6D: return string(i, p, INSN_INS, wide);
    case 0x6E:
    case 0x6F: return string(i, p, INSN_OUTS, wide);
    case 0x80: return group(c, i, p, false, group_alu, 1);
    case 0x81: return group(c, i, p, true, group_alu, wide_imm);
    case 0x83: return group(c, i, p, true, group_alu, 1);
    case 0x84:
    case 0x85: return rm_reg(c, i, p, INSN_TEST, wide, true);
    case 0x86:
    case 0x87: return rm_reg(c, i, p, INSN_XCHG, wide, true);
    case 0x88:
    case 0x89: return rm_reg(c, i, p, INSN_MOV, wide, true);
    case 0x8A:
    case 0x8B: return rm_reg(c, i, p, INSN_MOV, wide, false);
    case 0xA0:
    case 0xA1:
    case 0xA2:
    case 0xA3: return moffs(c, i, p, opcode);
    case 0xA4:
    case 0xA5: return string(i, p, INSN_MOVS, wide);
    case 0xAA:
    case 0xAB: return string(i, p, INSN_STOS, wide);
    case 0xAC:
    case 0xAD: return string(i, p, INSN_LODS, wide);
    case 0xC6: return group(c, i, p, false, group_mov, 1);
    case 0xC7: return group(c, i, p, true, group_mov, wide_imm);
    case 0xF6: return group(c, i, p, false, group_test, 1);
    case 0xF7: return group(c, i, p, true, group_test, wide_imm);
    case 0xFE:
    case 0xFF: return group(c, i, p, wide, group_inc, 0);
    default: return false;
    }
}

enum decode_status decode(const uint8_t *bytes, size_t count, enum insn_mode mode, struct insn *out)
{
    struct cursor c = {.bytes = bytes, .count = count};
    struct prefixes p = {.mode = mode, .seg = SEG_COUNT};
    uint8_t opcode = read_prefixes(&c, &p);

    *out =
        (struct insn){.addr_bytes = address_bytes(&p), .base = INSN_NO_REG, .index = INSN_NO_REG, .scale = 1};
    bool known = !c.short_of && !c.too_long && one_byte(&c, out, &p, opcode);
    if (c.too_long) return DECODE_UNKNOWN;
    if (c.short_of) return DECODE_SHORT;
    if (!known) return DECODE_UNKNOWN;
    out->bytes = (uint8_t)c.at;
    return DECODE_OK;
}
