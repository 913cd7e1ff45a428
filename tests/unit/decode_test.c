/* SPDX-License-Identifier: MIT
 *
 * The instruction decoder: encodings as the GNU assembler makes them, what it must refuse, and random bytes.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "vm/decode.h"

/* "mov4 ds:[rdi+rcx*4+0x10]a8 = rax4": operation and size of the memory operand, segment, address and its
 * size, then where the value comes from (=) or goes to (>). Strings: no address, r for REP. */
static const char *render(const struct insn *i)
{
    static const char *const ops[] = {"add",   "or",    "adc",  "sbb",  "and",  "sub",  "xor", "cmp",  "mov",
                                      "movzx", "movsx", "test", "not",  "neg",  "inc",  "dec", "xchg", "bt",
                                      "bts",   "btr",   "btc",  "movs", "stos", "lods", "ins", "outs"};
    static const char *const gprs[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                       "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segs[] = {"es", "cs", "ss", "ds", "fs", "gs"};
    static char text[160];
    char address[80] = "", value[40] = "";

    if (i->op >= INSN_MOVS) {
        snprintf(text, sizeof text, "%s%u %s:a%u%s", ops[i->op], i->operand_bytes, segs[i->seg],
                 i->addr_bytes, i->rep ? " r" : "");
        return text;
    }
    size_t at = 0;
    if (i->base != INSN_NO_REG)
        at +=
            (size_t)snprintf(address, sizeof address, "%s", i->base == INSN_REG_RIP ? "rip" : gprs[i->base]);
    if (i->index != INSN_NO_REG)
        at += (size_t)snprintf(address + at, sizeof address - at, "+%s*%u", gprs[i->index], i->scale);
    if (i->disp != 0) snprintf(address + at, sizeof address - at, "%+lld", (long long)i->disp);
    if (i->has_imm)
        snprintf(value, sizeof value, " = %lld", (long long)i->imm);
    else if (i->op != INSN_NOT && i->op != INSN_NEG && i->op != INSN_INC && i->op != INSN_DEC)
        snprintf(value, sizeof value, " %c %s%s%u", i->to_mem ? '=' : '>', gprs[i->reg], i->high ? "h" : "",
                 i->reg_bytes);
    snprintf(text, sizeof text, "%s%u %s:[%s]a%u%s", ops[i->op], i->operand_bytes, segs[i->seg], address,
             i->addr_bytes, value);
    return text;
}

struct encoding {
    const char *hex, *means;
};
static const struct encoding code64[] = {
    {"89 07", "mov4 ds:[rdi]a8 = rax4"},                                 /* mov %eax,(%rdi) */
    {"44 88 4b 01", "mov1 ds:[rbx+1]a8 = r91"},                          /* mov %r9b,1(%rbx) */
    {"8b 43 10", "mov4 ds:[rbx+16]a8 > rax4"},                           /* mov 0x10(%rbx),%eax */
    {"88 21", "mov1 ds:[rcx]a8 = raxh1"},                                /* mov %ah,(%rcx) */
    {"40 88 31", "mov1 ds:[rcx]a8 = rsi1"},                              /* mov %sil,(%rcx) */
    {"4c 8b 3c 88", "mov8 ds:[rax+rcx*4]a8 > r158"},                     /* mov (%rax,%rcx,4),%r15 */
    {"66 8b 05 78 56 34 12", "mov2 ds:[rip+305419896]a8 > rax2"},        /* mov 0x12345678(%rip),%ax */
    {"41 c7 45 08 ff ff ff ff", "mov4 ds:[r13+8]a8 = -1"},               /* movl $-1,8(%r13) */
    {"48 c7 84 24 80 00 00 00 fe ff ff ff", "mov8 ds:[rsp+128]a8 = -2"}, /* movq $-2,0x80(%rsp) */
    {"41 c6 04 24 05", "mov1 ds:[r12]a8 = 5"},                           /* movb $5,(%r12) */
    {"66 c7 05 10 00 00 00 34 12", "mov2 ds:[rip+16]a8 = 4660"},         /* movw $0x1234,0x10(%rip) */
    {"a1 88 77 66 55 44 33 22 11",
     "mov4 ds:[+1234605616436508552]a8 > rax4"},                      /* movabs 0x1122334455667788,%eax */
    {"a2 20 00 e0 fe 00 00 00 00", "mov1 ds:[+4276092960]a8 = rax1"}, /* movabs %al,0xfee00020 */
    {"64 48 8b 04 25 10 00 00 00", "mov8 fs:[+16]a8 > rax8"},         /* mov %fs:0x10,%rax */
    {"65 48 8b 12", "mov8 gs:[rdx]a8 > rdx8"},                        /* mov %gs:(%rdx),%rdx */
    {"67 8b 06", "mov4 ds:[rsi]a4 > rax4"},                           /* mov (%esi),%eax */
    {"0f b6 06", "movzx1 ds:[rsi]a8 > rax4"},                         /* movzbl (%rsi),%eax */
    {"44 0f b7 46 02", "movzx2 ds:[rsi+2]a8 > r84"},                  /* movzwl 2(%rsi),%r8d */
    {"48 0f be 06", "movsx1 ds:[rsi]a8 > rax8"},                      /* movsbq (%rsi),%rax */
    {"0f bf 0e", "movsx2 ds:[rsi]a8 > rcx4"},                         /* movswl (%rsi),%ecx */
    {"48 63 16", "movsx4 ds:[rsi]a8 > rdx8"},                         /* movslq (%rsi),%rdx */
    {"48 0f c3 07", "mov8 ds:[rdi]a8 = rax8"},                        /* movnti %rax,(%rdi) */
    {"81 43 10 00 01 00 00", "add4 ds:[rbx+16]a8 = 256"},             /* addl $0x100,0x10(%rbx) */
    {"83 0b 01", "or4 ds:[rbx]a8 = 1"},                               /* orl $1,(%rbx) */
    {"66 81 23 ff 7f", "and2 ds:[rbx]a8 = 32767"},                    /* andw $0x7fff,(%rbx) */
    {"80 33 80", "xor1 ds:[rbx]a8 = -128"},                           /* xorb $0x80,(%rbx) */
    {"48 83 3b 07", "cmp8 ds:[rbx]a8 = 7"},                           /* cmpq $7,(%rbx) */
    {"01 0b", "add4 ds:[rbx]a8 = rcx4"},                              /* add %ecx,(%rbx) */
    {"48 2b 0b", "sub8 ds:[rbx]a8 > rcx8"},                           /* sub (%rbx),%rcx */
    {"10 13", "adc1 ds:[rbx]a8 = rdx1"},                              /* adc %dl,(%rbx) */
    {"66 1b 13", "sbb2 ds:[rbx]a8 > rdx2"},                           /* sbb (%rbx),%dx */
    {"3a 3b", "cmp1 ds:[rbx]a8 > rbxh1"},                             /* cmp (%rbx),%bh */
    {"85 03", "test4 ds:[rbx]a8 = rax4"},                             /* test %eax,(%rbx) */
    {"f6 43 10 08", "test1 ds:[rbx+16]a8 = 8"},                       /* testb $8,0x10(%rbx) */
    {"f7 03 00 00 00 80", "test4 ds:[rbx]a8 = -2147483648"},          /* testl $0x80000000,(%rbx) */
    {"f7 13", "not4 ds:[rbx]a8"},                                     /* notl (%rbx) */
    {"66 f7 1b", "neg2 ds:[rbx]a8"},                                  /* negw (%rbx) */
    {"ff 03", "inc4 ds:[rbx]a8"},                                     /* incl (%rbx) */
    {"fe 0b", "dec1 ds:[rbx]a8"},                                     /* decb (%rbx) */
    {"87 03", "xchg4 ds:[rbx]a8 = rax4"},                             /* xchg %eax,(%rbx) */
    {"f0 83 0b 02", "or4 ds:[rbx]a8 = 2"},                            /* lock orl $2,(%rbx) */
    {"0f ba 6b 10 03", "bts4 ds:[rbx+16]a8 = 3"},                     /* btsl $3,0x10(%rbx) */
    {"48 0f a3 03", "bt8 ds:[rbx]a8 = rax8"},                         /* bt %rax,(%rbx) */
    {"f0 0f b3 0b", "btr4 ds:[rbx]a8 = rcx4"},                        /* lock btr %ecx,(%rbx) */
    {"66 0f ba 3b 0f", "btc2 ds:[rbx]a8 = 15"},                       /* btcw $15,(%rbx) */
    {"f3 a5", "movs4 ds:a8 r"},                                       /* rep movsl */
    {"48 a5", "movs8 ds:a8"},                                         /* movsq */
    {"f3 aa", "stos1 ds:a8 r"},                                       /* rep stosb */
    {"66 ad", "lods2 ds:a8"},                                         /* lodsw */
    {"f3 48 ab", "stos8 ds:a8 r"},                                    /* rep stosq */
    {"f3 6c", "ins1 ds:a8 r"},                                        /* rep insb (%dx),%es:(%rdi) */
    {"64 f3 6f", "outs4 fs:a8 r"},                                    /* rep outsl %fs:(%rsi),(%dx) */
    {"67 f3 a4", "movs1 ds:a4 r"},                                    /* addr32 rep movsb */
};
static const struct encoding code32[] = {
    {"a3 b0 00 e0 fe", "mov4 ds:[-18874192]a4 = rax4"},             /* mov %eax,0xfee000b0 */
    {"a1 20 00 e0 fe", "mov4 ds:[-18874336]a4 > rax4"},             /* mov 0xfee00020,%eax */
    {"8b 0d 10 00 c0 fe", "mov4 ds:[-20971504]a4 > rcx4"},          /* mov 0xfec00010,%ecx */
    {"88 74 75 00", "mov1 ss:[rbp+rsi*2]a4 = rdxh1"},               /* mov %dh,(%ebp,%esi,2) */
    {"36 8b 00", "mov4 ss:[rax]a4 > rax4"},                         /* mov %ss:(%eax),%eax */
    {"66 8b 5c 24 08", "mov2 ss:[rsp+8]a4 > rbx2"},                 /* mov 8(%esp),%bx */
    {"c7 05 50 03 e0 fe 01 00 00 00", "mov4 ds:[-18873520]a4 = 1"}, /* movl $0x1,0xfee00350 */
    {"67 8b 00", "mov4 ds:[rbx+rsi*1]a2 > rax4"},                   /* mov (%bx,%si),%eax */
    {"8b 14 cd 34 12 00 00", "mov4 ds:[+rcx*8+4660]a4 > rdx4"},     /* mov 0x1234(,%ecx,8),%edx */
    {"8a 45 00", "mov1 ss:[rbp]a4 > rax1"},                         /* mov (%ebp),%al */
    {"f3 6e", "outs1 ds:a4 r"},                                     /* rep outsb */
    {"67 6d", "ins4 ds:a2"},                                        /* addr16 insl */
    {"67 66 8b 46 fc", "mov2 ss:[rbp-4]a2 > rax2"},                 /* mov -4(%bp),%ax */
    {"8a 25 34 12 00 00", "mov1 ds:[+4660]a4 > raxh1"},             /* mov (0x1234),%ah */
};
static const struct encoding code16[] = {
    {"89 05", "mov2 ds:[rdi]a2 = rax2"},                /* mov %ax,(%di) */
    {"8a 4a 10", "mov1 ss:[rbp+rsi*1+16]a2 > rcx1"},    /* mov 0x10(%bp,%si),%cl */
    {"a1 00 fe", "mov2 ds:[-512]a2 > rax2"},            /* mov 0xfe00,%ax */
    {"67 66 c7 03 01 00 00 00", "mov4 ds:[rbx]a4 = 1"}, /* movl $1,(%ebx) */
    {"26 66 8b 15", "mov4 es:[rdi]a2 > rdx4"},          /* mov %es:(%di),%edx */
    {"f3 a5", "movs2 ds:a2 r"},                         /* rep movsw */
    {"67 66 f3 6f", "outs4 ds:a4 r"},                   /* addr32 rep outsl */
    {"8a 77 fe", "mov1 ds:[rbx-2]a2 > rdxh1"},          /* mov -2(%bx),%dh */
};

static size_t parse(const char *hex, uint8_t *out)
{
    size_t n = 0;
    for (; *hex != '\0'; hex += hex[2] == ' ' ? 3 : 2)
        out[n++] = (uint8_t)strtoul((char[3]){hex[0], hex[1], 0}, NULL, 16);
    return n;
}

/* Decodes from a buffer of exactly these bytes, so that AddressSanitizer sees a step beyond it. */
static enum decode_status decode_exact(const uint8_t *bytes, size_t count, enum insn_mode mode,
                                       struct insn *out)
{
    uint8_t *copy = malloc(count + (count == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, count);
    enum decode_status status = decode(copy, count, mode, out);
    free(copy);
    return status;
}

static void check(const struct encoding *table, size_t count, enum insn_mode mode)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[16] = {0};
        struct insn insn;
        size_t n = parse(table[i].hex, bytes);

        assert_int_equal(decode_exact(bytes, n, mode, &insn), DECODE_OK);
        assert_string_equal(render(&insn), table[i].means);
        assert_int_equal(insn.bytes, n);
        for (size_t cut = 0; cut < n; cut++)
            assert_int_equal(decode_exact(bytes, cut, mode, &insn), DECODE_SHORT);
        /* What follows does not matter. */
        bytes[n] = 0xC3;
        assert_int_equal(decode_exact(bytes, n + 1 <= 15 ? n + 1 : 15, mode, &insn), DECODE_OK);
        assert_int_equal(insn.bytes, n);
    }
}

static void encodings_64(void **state)
{
    (void)state;
    check(code64, sizeof code64 / sizeof code64[0], INSN_64);
}

static void encodings_32(void **state)
{
    (void)state;
    check(code32, sizeof code32 / sizeof code32[0], INSN_32);
}

static void encodings_16(void **state)
{
    (void)state;
    check(code16, sizeof code16 / sizeof code16[0], INSN_16);
}

static void refused(void **state)
{
    (void)state;
    static const char *const hex[] = {
        "89 c8",                                                 /* mov %ecx,%eax: no memory operand */
        "0f 0b",                                                 /* ud2 */
        "63 08",                                                 /* arpl outside 64-bit mode */
        "c7 48 08 00 00 00 00",                                  /* C7 /1 */
        "ff 30",                                                 /* push (%eax) */
        "f7 20",                                                 /* mull (%eax) */
        "0f ba 00 00",                                           /* 0F BA /0 */
        "66 0f c3 00",                                           /* no such MOVNTI */
        "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 89 08",    /* 17 bytes */
        "2e 2e 2e 2e 2e 2e 2e 2e c7 05 00 00 00 00 01 00 00 00", /* 18 */
    };
    struct insn insn;
    uint8_t bytes[32];
    for (size_t i = 0; i < sizeof hex / sizeof hex[0]; i++) {
        size_t n = parse(hex[i], bytes);
        if (decode_exact(bytes, n, INSN_32, &insn) != DECODE_UNKNOWN) fail_msg("%s was not refused", hex[i]);
    }
}

static void rex_only_right_before_the_opcode(void **state)
{
    (void)state;
    struct insn insn;
    const uint8_t stale[] = {0x48, 0x66, 0x89, 0x07}, last[] = {0x66, 0x48, 0x89, 0x07};
    assert_int_equal(decode(stale, 4, INSN_64, &insn), DECODE_OK);
    assert_int_equal(insn.operand_bytes, 2);
    assert_int_equal(decode(last, 4, INSN_64, &insn), DECODE_OK);
    assert_int_equal(insn.operand_bytes, 8);
}

static uint64_t random_state = 0x2545F4914F6CDD1Dull;
static uint64_t random_u64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/* Whatever comes, the description is one that the rest of the core can act on. */
static void random_bytes(void **state)
{
    (void)state;
    unsigned known = 0;
    for (unsigned n = 0; n < 400000; n++) {
        uint8_t bytes[16];
        uint64_t a = random_u64(), b = random_u64();
        size_t count = random_u64() % 16;
        struct insn i;

        memcpy(bytes, &a, 8);
        memcpy(bytes + 8, &b, 8);
        if (decode_exact(bytes, count, (enum insn_mode)(n % 3), &i) != DECODE_OK) continue;
        known++;
        assert_in_range(i.bytes, 1, count);
        assert_in_range(i.op, 0, INSN_OUTS);
        assert_true(i.operand_bytes == 1 || i.operand_bytes == 2 || i.operand_bytes == 4 ||
                    i.operand_bytes == 8);
        assert_true(i.reg_bytes == 1 || i.reg_bytes == 2 || i.reg_bytes == 4 || i.reg_bytes == 8);
        assert_true(i.addr_bytes == 2 || i.addr_bytes == 4 || i.addr_bytes == 8);
        assert_true(i.base < GPR_COUNT || i.base == INSN_NO_REG || i.base == INSN_REG_RIP);
        assert_true(i.index < GPR_COUNT || i.index == INSN_NO_REG);
        assert_in_range(i.reg, 0, GPR_COUNT - 1);
        assert_in_range(i.seg, SEG_ES, SEG_GS);
    }
    assert_true(known > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodings_64),
        cmocka_unit_test(encodings_32),
        cmocka_unit_test(encodings_16),
        cmocka_unit_test(refused),
        cmocka_unit_test(rex_only_right_before_the_opcode),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
