/* SPDX-License-Identifier: MIT
 *
 * void svm_enter(uint64_t gpr[GPR_COUNT], hpa_t vmcb, hpa_t host_vmcb);
 *
 * Into the guest and back. Guest RAX, RSP, RIP and RFLAGS travel in the VMCB. With the global interrupt flag clear nothing
 * can interrupt between VMLOAD of one side and of the other; IF is set around VMRUN because, under V_INTR_MASKING, the
 * host's IF decides whether a host interrupt ends the guest's turn (APM 2 15.21.1).
 */
        .text
        .globl svm_enter
        .type svm_enter, @function
svm_enter:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        push %rdx
        push %rdi
        mov %rsi, %rax
        mov 0x08(%rdi), %rcx
        mov 0x10(%rdi), %rdx
        mov 0x18(%rdi), %rbx
        mov 0x28(%rdi), %rbp
        mov 0x30(%rdi), %rsi
        mov 0x40(%rdi), %r8
        mov 0x48(%rdi), %r9
        mov 0x50(%rdi), %r10
        mov 0x58(%rdi), %r11
        mov 0x60(%rdi), %r12
        mov 0x68(%rdi), %r13
        mov 0x70(%rdi), %r14
        mov 0x78(%rdi), %r15
        mov 0x38(%rdi), %rdi
        clgi
        sti
        vmload %rax
        vmrun %rax
        vmsave %rax
        cli
        push %rdi
        mov 8(%rsp), %rdi
        mov 16(%rsp), %rax
        vmload %rax
        stgi
        mov %rcx, 0x08(%rdi)
        mov %rdx, 0x10(%rdi)
        mov %rbx, 0x18(%rdi)
        mov %rbp, 0x28(%rdi)
        mov %rsi, 0x30(%rdi)
        pop 0x38(%rdi)
        mov %r8, 0x40(%rdi)
        mov %r9, 0x48(%rdi)
        mov %r10, 0x50(%rdi)
        mov %r11, 0x58(%rdi)
        mov %r12, 0x60(%rdi)
        mov %r13, 0x68(%rdi)
        mov %r14, 0x70(%rdi)
        mov %r15, 0x78(%rdi)
        add $16, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret
        .size svm_enter, . - svm_enter

        .section .note.GNU-stack, "", @progbits
