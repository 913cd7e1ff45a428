/* SPDX-License-Identifier: MIT
 *
 * Segment descriptors, the task state segment and the interrupt table of the host.
 */
#ifndef TITHE_X86_DESC_H
#define TITHE_X86_DESC_H

/* SYSCALL wants SS right after CS. */
#define SEL_CORE_CS 0x08
#define SEL_CORE_DS 0x10
#define SEL_USER_CS 0x1b
#define SEL_USER_DS 0x23
#define SEL_TSS     0x28

/* Interrupt stacks: these vectors may strike when the stack pointer is no good. */
#define IST_NMI 1
#define IST_DF  2
#define IST_MC  3
#define IST_DB  4

#ifndef __ASSEMBLER__

#include "tithe/types.h"

/* SDM 3A 7.7. */
struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7]; /* ist[0] is IST 1 */
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap; /* past the limit: ring 3 has no ports */
} __attribute__((packed));

struct gdt {
    uint64_t entry[5];
    uint64_t tss[2];
};

/* Operand of LGDT, LIDT, SGDT, SIDT. */
struct table_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* One gate of the interrupt table (SDM 3A 6.14.1). */
struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_mid;
    uint32_t offset_high;
    uint32_t reserved;
};
extern struct gate idt[256];

#endif
#endif
