/* SPDX-License-Identifier: MIT
 *
 * Decodes the instructions that touch device memory or move strings through ports (SDM 2, APM 3). Pure: bytes
 * in, description out; what the bytes are, a guest decides.
 */
#ifndef TITHE_VM_DECODE_H
#define TITHE_VM_DECODE_H

#include "tithe/types.h"
#include "vm/vcpu.h"

#define INSN_BYTES_MAX 15u

enum insn_mode { INSN_16, INSN_32, INSN_64 };

enum insn_op {
    /* In the order of their opcodes' middle bits. */
    INSN_ADD,
    INSN_OR,
    INSN_ADC,
    INSN_SBB,
    INSN_AND,
    INSN_SUB,
    INSN_XOR,
    INSN_CMP,
    INSN_MOV, /* MOVNTI too */
    INSN_MOVZX,
    INSN_MOVSX,
    INSN_TEST,
    INSN_NOT,
    INSN_NEG,
    INSN_INC,
    INSN_DEC,
    INSN_XCHG,
    INSN_BT, /* these four in the order of their opcodes */
    INSN_BTS,
    INSN_BTR,
    INSN_BTC,
    /* String instructions: no ModRM operand. */
    INSN_MOVS,
    INSN_STOS,
    INSN_LODS,
    INSN_INS,
    INSN_OUTS,
};

#define INSN_NO_REG  0xFFu
#define INSN_REG_RIP 0xFEu

struct insn {
    enum insn_op op;
    uint8_t bytes;         /* its length, at most 15 */
    uint8_t operand_bytes; /* of the memory operand or string element: 1, 2, 4, 8 */
    uint8_t reg_bytes;     /* of the register operand */
    uint8_t addr_bytes;    /* 2, 4, 8 */
    bool rep;              /* REP or REPNE */
    bool to_mem;           /* memory is the destination, the register or immediate the source */
    bool has_imm;
    uint64_t imm; /* extended to 64 bits as the instruction does */
    uint8_t reg;  /* enum gpr */
    bool high;    /* AH, CH, DH or BH: bits 8-15 of reg */
    uint8_t seg;  /* enum seg of the memory operand; of a string's source */
    /* Address in the segment: base + index * scale + disp, cut to addr_bytes. */
    uint8_t base, index; /* enum gpr, INSN_NO_REG; base also INSN_REG_RIP: behind the instruction */
    uint8_t scale;
    int64_t disp;
};

enum decode_status {
    DECODE_OK = 0,
    DECODE_SHORT,   /* it goes on behind the bytes given */
    DECODE_UNKNOWN, /* none of the above, or without a memory operand, or longer than 15 bytes */
};

MUST_CHECK enum decode_status decode(const uint8_t *bytes, size_t count, enum insn_mode mode,
                                     struct insn *out);

#endif
