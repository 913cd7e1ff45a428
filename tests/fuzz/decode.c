/* SPDX-License-Identifier: MIT
 *
 * The instruction decoder, as libFuzzer drives it: the first byte chooses the mode, the rest is code.
 * Decoding looks at no byte behind those it is given, and the same bytes with more behind them, or in a
 * longer buffer, mean the same.
 */
#include <stdlib.h>
#include <string.h>

#include "vm/decode.h"

static void must(bool holds)
{
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct insn insn, again;
    uint8_t longer[INSN_BYTES_MAX + 1] = {0};

    if (size == 0) return 0;
    enum insn_mode mode = (enum insn_mode)(data[0] % 3);
    enum decode_status status = decode(data + 1, size - 1, mode, &insn);
    if (status == DECODE_SHORT) must(size - 1 < INSN_BYTES_MAX);
    if (status != DECODE_OK) return 0;
    must(insn.bytes >= 1 && insn.bytes <= INSN_BYTES_MAX && insn.bytes <= size - 1);
    must(insn.op <= INSN_OUTS && insn.reg < GPR_COUNT && insn.seg <= SEG_GS);
    must(insn.base < GPR_COUNT || insn.base == INSN_NO_REG || insn.base == INSN_REG_RIP);
    must(insn.index < GPR_COUNT || insn.index == INSN_NO_REG);
    memcpy(longer, data + 1, insn.bytes);
    must(decode(longer, insn.bytes, mode, &again) == DECODE_OK && again.bytes == insn.bytes);
    must(insn.bytes == 1 || decode(longer, insn.bytes - 1u, mode, &again) == DECODE_SHORT);
    must(decode(longer, sizeof longer, mode, &again) == DECODE_OK && again.op == insn.op &&
         again.imm == insn.imm);
    return 0;
}
