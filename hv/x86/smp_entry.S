/* SPDX-License-Identifier: MIT
 *
 * First instructions of the CPUs that the boot CPU starts: real mode at CS:IP = vector << 8 : 0 (SDM 3A 9.4.4), in the page
 * that x86/smp_slot.h describes.
 */
#include "boot/layout.h"
#include "x86/smp_slot.h"

/* Copied into that page; knows its place by CS. */
    .section .rodata
    .code16
    .globl smp_trampoline, smp_trampoline_end
smp_trampoline:
    cli
    cld
    mov %cs, %bx
    movzwl %bx, %ebx
    shl $4, %ebx
    lgdtl %cs:(gdtr - smp_trampoline)
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $EARLY_CS32, $PHYS(smp_protected)
gdtr:
    .word EARLY_GDT_LIMIT
    .long PHYS(early_gdt)
smp_trampoline_end:

    .text
    .code32
smp_protected:
    mov $EARLY_DS32, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $PHYS(smp_long), %edi
    jmp long_mode

    .code64
smp_long:
    mov %ebx, %ebx
    mov $SLOT_WAITING, %eax
    mov $SLOT_CLAIMED, %ecx
    lock cmpxchg %ecx, SLOT + SLOT_STATE(%rbx)
    jne 1f
    mov SLOT + SLOT_SELF(%rbx), %rdi
    mov SLOT + SLOT_STACK(%rbx), %rsp
    mov SLOT + SLOT_CR3(%rbx), %rax
    mov %rax, %cr3
    xor %ebp, %ebp
    call smp_ap_entry
1:  movl $SLOT_TOO_LATE, SLOT + SLOT_STATE(%rbx)
2:  cli
    hlt
    jmp 2b

    .section .note.GNU-stack, "", @progbits
