/* SPDX-License-Identifier: MIT */
#include "vm/interpret_priv.h"

#define CF         (1u << 0)
#define PF         (1u << 2)
#define AF         (1u << 4)
#define ZF         (1u << 6)
#define SF         (1u << 7)
#define OF         (1u << 11)
#define ARITHMETIC (CF | PF | AF | ZF | SF | OF)

static unsigned result_flags(uint64_t result, unsigned bits)
{
    return (result == 0 ? ZF : 0) | ((result >> (bits - 1)) & 1 ? SF : 0) |
           (__builtin_parity((unsigned)(result & 0xFF)) ? 0 : PF);
}

/* Flags of dst + src + carry = result, all cut to `bits`. */
static unsigned add_flags(uint64_t dst, uint64_t src, uint64_t result, unsigned bits)
{
    uint64_t carries = (dst & src) | ((dst | src) & ~result);
    uint64_t overflow = ~(dst ^ src) & (dst ^ result);
    return ((carries >> (bits - 1)) & 1 ? CF : 0) | (carries & 8 ? AF : 0) |
           ((overflow >> (bits - 1)) & 1 ? OF : 0);
}

static unsigned sub_flags(uint64_t dst, uint64_t src, uint64_t result, unsigned bits)
{
    uint64_t borrows = (~dst & src) | ((~dst | src) & result);
    uint64_t overflow = (dst ^ src) & (dst ^ result);
    return ((borrows >> (bits - 1)) & 1 ? CF : 0) | (borrows & 8 ? AF : 0) |
           ((overflow >> (bits - 1)) & 1 ? OF : 0);
}

static uint64_t bit_op(enum insn_op op, uint64_t dst, uint64_t bit)
{
    switch (op) {
    case INSN_BTS: return dst | bit;
    case INSN_BTR: return dst & ~bit;
    case INSN_BTC: return dst ^ bit;
    default: return dst;
    }
}

uint64_t interpret_alu(enum insn_op op, uint64_t dst, uint64_t src, unsigned bytes, uint64_t *rflags,
                       bool *write)
{
    unsigned bits = 8 * bytes, flags = 0, keep = 0; /* keep: flags this one leaves alone */
    uint64_t mask = size_mask(bytes), carry = *rflags & CF, result;

    dst &= mask;
    src &= mask;
    *write = op != INSN_CMP && op != INSN_TEST && op != INSN_BT;
    switch (op) {
    case INSN_ADD:
    case INSN_ADC:
        result = (dst + src + (op == INSN_ADC ? carry : 0)) & mask;
        flags = add_flags(dst, src, result, bits);
        break;
    case INSN_SUB:
    case INSN_CMP:
    case INSN_SBB:
        result = (dst - src - (op == INSN_SBB ? carry : 0)) & mask;
        flags = sub_flags(dst, src, result, bits);
        break;
    case INSN_NEG:
        result = (0 - dst) & mask;
        flags = sub_flags(0, dst, result, bits);
        break;
    case INSN_INC:
        result = (dst + 1) & mask;
        flags = add_flags(dst, 1, result, bits);
        keep = CF;
        break;
    case INSN_DEC:
        result = (dst - 1) & mask;
        flags = sub_flags(dst, 1, result, bits);
        keep = CF;
        break;
    case INSN_AND:
    case INSN_TEST: result = dst & src; break;
    case INSN_OR: result = dst | src; break;
    case INSN_XOR: result = dst ^ src; break;
    case INSN_NOT: return ~dst & mask;
    case INSN_BT:
    case INSN_BTS:
    case INSN_BTR:
    case INSN_BTC: {
        uint64_t bit = 1ull << (src & (bits - 1));
        *rflags = (*rflags & ~(uint64_t)CF) | (dst & bit ? CF : 0);
        return bit_op(op, dst, bit);
    }
    default: return dst;
    }
    flags |= result_flags(result, bits);
    *rflags = (*rflags & ~(uint64_t)(ARITHMETIC & ~keep)) | (flags & ~keep);
    return result;
}
