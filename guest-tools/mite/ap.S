// SPDX-License-Identifier: MIT
// Where a vCPU begins after its SIPI: real mode, in a copy of the first piece at AP_CODE.
#include "ap.h"

    .text
    .code16
    .globl ap_piece
    .globl ap_piece_end
ap_piece:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    lgdtl ap_gdt_pointer - ap_piece
    mov %cr0, %eax
    and $0x9FFFFFFF, %eax       // caches on, which INIT leaves off
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x08, $ap_flat
ap_gdt_pointer:
    .word 5 * 8 - 1
    .long gdt
ap_piece_end:

    .code32
ap_flat:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    mov ap_stack_top, %esp
    xor %ebp, %ebp
    push $0
    popf
    call ap_main
1:  cli
    hlt
    jmp 1b

    .bss
    .balign 16
    .globl ap_stacks
ap_stacks:
    .skip AP_STACK_BYTES * AP_STACKS

    .section .note.GNU-stack, "", @progbits
