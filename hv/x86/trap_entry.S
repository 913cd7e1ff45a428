/* SPDX-License-Identifier: MIT
 *
 * Entry of all exceptions and interrupts, and the way into and out of ring 3.
 */
#include "x86/desc.h"
#include "x86/percpu.h"
#include "x86/user.h"

#define MSR_GS_BASE 0xc0000101

#define FRAME_CS 152

/* Registers in the order of enum gpr, RAX lowest. */
.macro push_registers
    push %r15
    push %r14
    push %r13
    push %r12
    push %r11
    push %r10
    push %r9
    push %r8
    push %rdi
    push %rsi
    push %rbp
    push %rsp
    push %rbx
    push %rdx
    push %rcx
    push %rax
.endm

.macro pop_registers
    pop %rax
    pop %rcx
    pop %rdx
    pop %rbx
    add $8, %rsp
    pop %rbp
    pop %rsi
    pop %rdi
    pop %r8
    pop %r9
    pop %r10
    pop %r11
    pop %r12
    pop %r13
    pop %r14
    pop %r15
.endm

    .text

/* One stub of 16 bytes per vector: the error code, where the CPU gives none, and the vector. */
    .balign 16
    .globl trap_stubs
trap_stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    push $0
    .endif
    pushq $vector
    .if vector == 1 || vector == 2 || vector == 8 || vector == 18
    jmp trap_ist
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr

    .balign 16
trap_common:
    push_registers
    cld
    testb $3, FRAME_CS(%rsp)
    jnz from_user
    mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call trap_from_core
    mov %rbx, %rsp
    pop_registers
    add $16, %rsp
    iretq

/* Vectors with a stack of their own may strike anywhere, also between the entry of ring 0 and its SWAPGS: whose GS it is
 * says its base, which in ring 3 is never in the upper half. */
trap_ist:
    push_registers
    cld
    testb $3, FRAME_CS(%rsp)
    jnz from_user
    xor %r12d, %r12d
    mov $MSR_GS_BASE, %ecx
    rdmsr
    test %edx, %edx
    js 1f
    swapgs
    inc %r12d
1:  mov %rsp, %rdi
    mov %rsp, %rbx
    and $-16, %rsp
    call trap_from_core
    mov %rbx, %rsp
    test %r12d, %r12d
    jz 1f
    swapgs
1:  pop_registers
    add $16, %rsp
    iretq

from_user:
    swapgs
    pushq $2 /* no AC: ring 3 could have set it, and so lift SMAP */
    popfq
    mov %rsp, %rdi
    and $-16, %rsp
    call trap_from_user
    mov %gs:PERCPU_USER_RSP, %rsp
    /* RAX: enum user_exit. Back in user_enter's caller. */
leave_user:
    mov %gs:PERCPU_CORE_CR3, %rcx
    mov %rcx, %cr3
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* enum user_exit user_switch(struct user_context *context, hpa_t cr3): the middle of user_enter (x86/user.c). */
    .balign 16
    .globl user_switch
user_switch:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rdi, %gs:PERCPU_USER_CONTEXT
    mov %rsp, %gs:PERCPU_USER_RSP
    mov %rsp, %gs:PERCPU_TSS_RSP0
    mov %rsi, %cr3
    pushq $SEL_USER_DS
    pushq USER_GPR + 4 * 8(%rdi)
    pushq USER_RFLAGS(%rdi)
    pushq $SEL_USER_CS
    pushq USER_RIP(%rdi)
    mov USER_GPR + 0 * 8(%rdi), %rax
    mov USER_GPR + 1 * 8(%rdi), %rcx
    mov USER_GPR + 2 * 8(%rdi), %rdx
    mov USER_GPR + 3 * 8(%rdi), %rbx
    mov USER_GPR + 5 * 8(%rdi), %rbp
    mov USER_GPR + 6 * 8(%rdi), %rsi
    mov USER_GPR + 8 * 8(%rdi), %r8
    mov USER_GPR + 9 * 8(%rdi), %r9
    mov USER_GPR + 10 * 8(%rdi), %r10
    mov USER_GPR + 11 * 8(%rdi), %r11
    mov USER_GPR + 12 * 8(%rdi), %r12
    mov USER_GPR + 13 * 8(%rdi), %r13
    mov USER_GPR + 14 * 8(%rdi), %r14
    mov USER_GPR + 15 * 8(%rdi), %r15
    mov USER_GPR + 7 * 8(%rdi), %rdi
    swapgs
    iretq

    .balign 16
    .globl syscall_entry
syscall_entry:
    swapgs
    mov %rsp, %gs:PERCPU_SCRATCH
    mov %gs:PERCPU_USER_RSP, %rsp
    push %rax
    mov %gs:PERCPU_USER_CONTEXT, %rax
    popq USER_GPR + 0 * 8(%rax)
    mov %rcx, USER_GPR + 1 * 8(%rax)
    mov %rdx, USER_GPR + 2 * 8(%rax)
    mov %rbx, USER_GPR + 3 * 8(%rax)
    mov %rbp, USER_GPR + 5 * 8(%rax)
    mov %rsi, USER_GPR + 6 * 8(%rax)
    mov %rdi, USER_GPR + 7 * 8(%rax)
    mov %r8, USER_GPR + 8 * 8(%rax)
    mov %r9, USER_GPR + 9 * 8(%rax)
    mov %r10, USER_GPR + 10 * 8(%rax)
    mov %r11, USER_GPR + 11 * 8(%rax)
    mov %r12, USER_GPR + 12 * 8(%rax)
    mov %r13, USER_GPR + 13 * 8(%rax)
    mov %r14, USER_GPR + 14 * 8(%rax)
    mov %r15, USER_GPR + 15 * 8(%rax)
    mov %rcx, USER_RIP(%rax)
    mov %r11, USER_RFLAGS(%rax)
    mov %gs:PERCPU_SCRATCH, %rcx
    mov %rcx, USER_GPR + 4 * 8(%rax)
    xor %eax, %eax /* USER_SYSCALL */
    jmp leave_user

    .section .note.GNU-stack, "", @progbits
