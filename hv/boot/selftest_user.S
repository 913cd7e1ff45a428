/* SPDX-License-Identifier: MIT
 *
 * What boot/selftest.c runs in ring 3: pieces of code that need no fixed place.
 */
#ifdef TITHE_DEBUG
    .section .rodata
    .macro piece name
    .balign 16
    .globl selftest_\name
selftest_\name:
    .endm

    .globl selftest_user
selftest_user:
piece syscall
    mov $0x1122334455667788, %rax
    mov $0x99, %r15
    mov $0x8000000000000000, %rsp /* SYSCALL must not care */
    syscall
    lea 1(%rax), %rax /* goes on where it was */
    syscall
piece touch /* RDI: address to read */
    mov (%rdi), %rax
    syscall
piece store /* RDI: address to write */
    mov %rax, (%rdi)
    syscall
piece jump /* RDI: address to go to */
    jmp *%rdi
piece loop
    jmp .
piece halt
    hlt
piece port
    in $0x60, %al
piece divide
    xor %ecx, %ecx
    div %ecx
piece cr0
    mov %cr0, %rax
piece swapgs
    swapgs
piece interrupt
    int $0x80
piece step
    pushfq
    orq $0x100, (%rsp)
    popfq
    nop
piece step_syscall
    pushfq
    orq $0x100, (%rsp)
    popfq
    syscall
piece selectors
    mov $0x23, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    syscall
piece gs_and_fs
    mov %fs:0, %rax
    mov %gs:0, %rbx
    syscall
piece vector_set
    movq %rdi, %xmm3
    syscall
piece vector_get
    movq %xmm3, %rax
    syscall
    .globl selftest_user_end
selftest_user_end:
#endif
    .section .note.GNU-stack, "", @progbits
